//! A filter of any length, which answers nothing.

use sst_format::filter::{Filter, FilterBuilder, FilterBytes, FilterError, FilterPolicy};

/// A filter of this many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterOfLen(pub(crate) usize);

impl FilterPolicy for FilterOfLen {
    fn builder(&self) -> Box<dyn FilterBuilder> {
        Box::new(*self)
    }

    fn open(&self, _: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        Err(FilterError::new("not to be opened"))
    }
}

impl FilterBuilder for FilterOfLen {
    fn add_hashes(&mut self, _: &[u64]) {}

    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError> {
        Ok(vec![7; self.0])
    }
}
