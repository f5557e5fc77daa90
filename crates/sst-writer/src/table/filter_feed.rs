//! How the filter of a table gets its hashes.

use sst_format::filter::{FilterBuilder, FilterBytes, FilterError, FilterPolicy};

/// How many hashes are gathered before the filter gets them.
const BATCH_LEN: usize = 512;

/// Hands hashes to a filter in batches, or does nothing where there is no filter.
#[derive(Debug)]
pub(crate) struct FilterFeed {
    builder: Option<Box<dyn FilterBuilder>>,
    batch: Vec<u64>,
}

impl FilterFeed {
    pub(crate) fn new(policy: Option<&dyn FilterPolicy>) -> Self {
        Self { builder: policy.map(FilterPolicy::builder), batch: Vec::new() }
    }

    /// Adds the hash of the next entry. Returns whether [`FilterFeed::flush`] is due.
    #[inline]
    pub(crate) fn push(&mut self, hash: u64) -> bool {
        if self.builder.is_none() {
            return false;
        }
        self.batch.push(hash);
        self.batch.len() >= BATCH_LEN
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) {
        if let Some(builder) = &mut self.builder {
            builder.add_hashes(&self.batch);
            self.batch.clear();
        }
    }

    /// The filter bytes; none without a filter.
    pub(crate) fn finish(mut self) -> Result<FilterBytes, FilterError> {
        self.flush();
        let bytes = self.builder.map_or(Ok(Vec::new()), FilterBuilder::finish)?;
        Ok(FilterBytes::new(bytes))
    }
}
