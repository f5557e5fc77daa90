//! The answers of a filter that is not decoded.

use sst_format::filter::Filter;

/// A filter that is not decoded. It answers "maybe" to every query, so lookups are right, only
/// slower.
#[derive(Debug)]
pub(crate) struct UnreadFilter;

impl Filter for UnreadFilter {
    fn may_contain(&self, _: u64) -> bool {
        true
    }

    fn fingerprint_count(&self) -> u64 {
        0
    }
}
