//! The consumer of sorted records.

use super::bulk_error::BulkError;
use super::record::Record;

/// A record in sorted order.
#[derive(Clone, Copy, Debug)]
pub(super) struct SortedRecord<'a> {
    pub(super) hash: u64,
    pub(super) record: Record<'a>,
    /// Whether it is known that no other record has this hash.
    pub(super) is_alone: bool,
}

/// Receives records in ascending order: by hash, then by [`Record::order`].
pub(super) trait RecordSink {
    fn accept(&mut self, sorted: SortedRecord<'_>) -> Result<(), BulkError>;
}
