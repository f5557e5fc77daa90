//! How the filter of a table gets its hashes.

use sst_format::filter::{FilterBuilder, FilterBytes, FilterError, FilterPolicy};

/// Hands hashes to a filter, or does nothing where there is no filter.
#[derive(Debug)]
pub(crate) struct FilterFeed {
    builder: Option<Box<dyn FilterBuilder>>,
}

impl FilterFeed {
    pub(crate) fn new(policy: Option<&dyn FilterPolicy>) -> Self {
        Self { builder: policy.map(FilterPolicy::builder) }
    }

    /// Adds the hashes of the next entries: those of a key block, so that the dynamic call is none
    /// of the single entry's.
    pub(crate) fn add(&mut self, hashes: &[u64]) {
        if let Some(builder) = &mut self.builder {
            builder.add_hashes(hashes);
        }
    }

    /// The filter bytes; none without a filter.
    pub(crate) fn finish(self) -> Result<FilterBytes, FilterError> {
        let bytes = self.builder.map_or(Ok(Vec::new()), FilterBuilder::finish)?;
        Ok(FilterBytes::new(bytes))
    }
}
