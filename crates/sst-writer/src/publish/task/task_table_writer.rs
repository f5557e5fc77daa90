//! The writer of one table of a task.

use std::sync::Arc;

use sst_format::file_name::FileName;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use super::task_files::TaskFiles;
use crate::{
    AtomicFile, Entry, Finished, PublishError, StreamingSstWriter, TableDigest, WriteError,
};

/// A [`StreamingSstWriter`] for one table of a [`TaskWriter`](super::TaskWriter). It borrows
/// nothing, so several threads can write tables of one task at once.
#[derive(Debug)]
pub struct TaskTableWriter {
    writer: StreamingSstWriter<AtomicFile>,
    name: FileName,
    files: Arc<TaskFiles>,
}

/// A table whose content is durable, but which is not yet part of what its task reports.
#[derive(Debug)]
#[must_use = "a table that is not added to its task is removed with it"]
pub struct FinishedTaskTable {
    pub(super) sequence: SequenceNumber,
    pub(super) meta: SstMeta,
    pub(super) blobs: Vec<BlobNumber>,
    pub(super) digest: Option<TableDigest>,
    pub(super) files: Arc<TaskFiles>,
}

impl FinishedTaskTable {
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

impl TaskTableWriter {
    pub(super) const fn new(
        writer: StreamingSstWriter<AtomicFile>,
        name: FileName,
        files: Arc<TaskFiles>,
    ) -> Self {
        Self { writer, name, files }
    }

    /// The table's sequence number.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        self.name.sequence
    }

    /// As [`StreamingSstWriter::add`].
    ///
    /// # Errors
    ///
    /// As [`StreamingSstWriter::add`].
    #[inline]
    pub fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        self.writer.add(entry)
    }

    /// As [`StreamingSstWriter::add_if_room`].
    ///
    /// # Errors
    ///
    /// As [`StreamingSstWriter::add`].
    #[inline]
    pub fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError> {
        self.writer.add_if_room(entry)
    }

    /// As [`StreamingSstWriter::entry_count`].
    #[must_use]
    pub const fn entry_count(&self) -> u64 {
        self.writer.entry_count()
    }

    /// As [`StreamingSstWriter::last_key`].
    ///
    /// # Errors
    ///
    /// As [`StreamingSstWriter::last_key`].
    pub fn last_key(&self) -> Result<&[u8], WriteError> {
        self.writer.last_key()
    }

    /// As [`StreamingSstWriter::is_full`].
    #[must_use]
    pub fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        self.writer.is_full(max_entries, max_data_size)
    }

    /// As [`StreamingSstWriter::has_room_for`].
    #[must_use]
    pub fn has_room_for(&self, entry: &impl Entry) -> bool {
        self.writer.has_room_for(entry)
    }

    /// Finishes the table, whose file is then complete. Its content is durable; its name becomes
    /// durable with the task.
    ///
    /// # Errors
    ///
    /// [`PublishError::ClaimLost`] if the claim on its number has ended;
    /// [`PublishError::CommitEnded`] if the task was finished or dropped meanwhile; otherwise as
    /// [`StreamingSstWriter::finish`].
    pub fn finish(self) -> Result<FinishedTaskTable, PublishError> {
        let Self { writer, name, files } = self;
        let sequence = name.sequence;
        if files.has_ended() {
            return Err(PublishError::CommitEnded { table: sequence });
        }
        files.check(name)?;
        let finished = writer.finish();
        // An error may have come after the file had its name.
        let is_taken = matches!(finished, Err(WriteError::Exists { .. }));
        let goes_on = is_taken || files.note(name);
        let Finished { meta, blobs, digest, output: () } = finished?;
        if !goes_on {
            return Err(PublishError::CommitEnded { table: sequence });
        }
        Ok(FinishedTaskTable { sequence, meta, blobs, digest, files })
    }
}
