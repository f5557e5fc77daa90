//! The writer of one table of a commit.

use std::sync::Arc;

use sst_format::file_name::FileName;
use sst_format::filter::FilterBytes;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use crate::publish::commit::commit_files::CommitFiles;
use crate::{AtomicFile, Entry, Finished, PublishError, StreamingSstWriter, WriteError};

/// A [`StreamingSstWriter`] for one table of a [`Commit`](crate::Commit).
///
/// It borrows nothing, so several threads can write tables of one commit at once. The table becomes
/// part of the commit when it is finished and given to
/// [`Commit::add_table`](crate::Commit::add_table).
#[derive(Debug)]
pub struct TableWriter {
    writer: StreamingSstWriter<AtomicFile>,
    name: FileName,
    files: Arc<CommitFiles>,
}

/// A table whose content is durable, but which is not yet part of its commit.
#[derive(Clone, Debug)]
#[must_use = "a table that is not added to its commit is removed with it"]
pub struct FinishedTable {
    pub(crate) sequence: SequenceNumber,
    pub(crate) finished: Finished<()>,
    pub(crate) files: Arc<CommitFiles>,
}

impl FinishedTable {
    /// The table's sequence number.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// Replaces the filter in the table's description, for a table with the same hashes as another
    /// one: its filter need not be built again.
    #[must_use = "the table is not changed but returned"]
    pub fn with_filter(mut self, filter: FilterBytes) -> Self {
        self.finished.meta.filter = filter;
        self
    }

    /// The table's description for readers.
    #[must_use]
    pub const fn meta(&self) -> &SstMeta {
        &self.finished.meta
    }

    /// The blobs that the table refers to, in ascending order.
    #[must_use]
    pub fn blobs(&self) -> &[BlobNumber] {
        &self.finished.blobs
    }
}

impl TableWriter {
    pub(crate) const fn new(
        writer: StreamingSstWriter<AtomicFile>,
        name: FileName,
        files: Arc<CommitFiles>,
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
    /// durable with the commit.
    ///
    /// # Errors
    ///
    /// [`PublishError::CommitEnded`] if the commit was prepared, published or dropped meanwhile;
    /// otherwise as [`StreamingSstWriter::finish`].
    pub fn finish(self) -> Result<FinishedTable, PublishError> {
        let Self { writer, name, files } = self;
        let sequence = name.sequence;
        if files.has_ended() {
            return Err(PublishError::CommitEnded { table: sequence });
        }
        files.check_directory()?;
        let finished = files.note_created(name, writer.finish())?;
        if files.are_removed() {
            return Err(PublishError::CommitEnded { table: sequence });
        }
        Ok(FinishedTable { sequence, finished, files })
    }
}
