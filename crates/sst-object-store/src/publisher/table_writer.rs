//! The writer of one table of a commit in a bucket.

use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_writer::table::Finished;
use sst_writer::{Entry, StreamingSstWriter, WriteError};

use super::object_sink::ObjectSink;
use crate::StoreError;

/// Writes one table of an [`ObjectCommit`](crate::ObjectCommit). The object is uploaded while it is
/// written, in pieces, so that a table of any size needs the memory of a few pieces.
///
/// It waits for the upload, so it must not be used on a thread of the runtime: use
/// `tokio::task::spawn_blocking`, or a thread. Several tables of a commit can be written at once.
#[derive(Debug)]
pub struct ObjectTableWriter {
    writer: StreamingSstWriter<ObjectSink>,
    sequence: SequenceNumber,
}

/// A table that is in the bucket, but not yet part of its commit.
#[derive(Clone, Debug)]
#[must_use = "a table that is not added to its commit is left behind"]
pub struct FinishedObjectTable {
    pub(super) sequence: SequenceNumber,
    pub(super) meta: SstMeta,
    pub(super) blobs: Vec<BlobNumber>,
}

impl FinishedObjectTable {
    /// The table's sequence number.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// The table's description for readers.
    #[must_use]
    pub const fn meta(&self) -> &SstMeta {
        &self.meta
    }
}

impl ObjectTableWriter {
    pub(super) const fn new(
        writer: StreamingSstWriter<ObjectSink>,
        sequence: SequenceNumber,
    ) -> Self {
        Self { writer, sequence }
    }

    /// As [`StreamingSstWriter::add`].
    ///
    /// # Errors
    ///
    /// As [`StreamingSstWriter::add`].
    pub fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        self.writer.add(entry)
    }

    /// As [`StreamingSstWriter::is_full`].
    #[must_use]
    pub fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        self.writer.is_full(max_entries, max_data_size)
    }

    /// Finishes the table, whose object is then complete.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn finish(self) -> Result<FinishedObjectTable, StoreError> {
        let Self { writer, sequence } = self;
        let Finished { meta, blobs, .. } = writer.finish()?;
        Ok(FinishedObjectTable { sequence, meta, blobs })
    }
}
