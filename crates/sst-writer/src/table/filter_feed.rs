//! The connection from a table to its filter builder.

use sst_format::filter::{FilterBuilder, FilterBytes, FilterError, FilterPolicy};

/// Passes hashes to a filter builder, or does nothing if the table has no filter.
#[derive(Debug)]
pub(crate) struct FilterFeed {
    builder: Option<Box<dyn FilterBuilder>>,
}

impl FilterFeed {
    pub(crate) fn new(policy: Option<&dyn FilterPolicy>) -> Self {
        Self { builder: policy.map(FilterPolicy::builder) }
    }

    /// Adds the hashes of the entries of a key block. The dynamic call is made once per key block,
    /// not for every entry.
    pub(crate) fn add(&mut self, hashes: &[u64]) {
        if let Some(builder) = &mut self.builder {
            builder.add_hashes(hashes);
        }
    }

    /// The filter bytes; empty without a filter.
    pub(crate) fn finish(self) -> Result<FilterBytes, FilterError> {
        let bytes = self.builder.map_or(Ok(Vec::new()), FilterBuilder::finish)?;
        Ok(FilterBytes::new(bytes))
    }
}
