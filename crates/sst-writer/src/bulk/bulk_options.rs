//! Options of a bulk load.

use std::path::PathBuf;
use std::thread;

use sst_format::limits::MAX_MEDIUM_VALUE_LEN;

use super::duplicates::Duplicates;
use crate::WriterOptions;

/// Whether a load keeps the tables of earlier commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkMode {
    /// It replaces them: afterwards the family (key space) holds only the entries of this load.
    #[default]
    Replace,
    /// It keeps them below the new tables: a loaded entry, or a loaded tombstone, hides the earlier
    /// entries of its key.
    Append,
}

/// Options of a [`BulkLoader`](crate::BulkLoader). Start from the default and change single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BulkOptions {
    /// Memory in bytes for records, sorting and writing; [`BulkLoader`](crate::BulkLoader) lists
    /// the memory that comes on top. At least 4 MiB are used. Default: 256 MiB.
    pub memory_budget: usize,
    /// Number of threads that sort and write. At least 1. Default: the number of threads that the
    /// machine runs at once.
    pub threads: usize,
    /// Parent folder of the spill files, which hold records beyond the budget. Default: `None`,
    /// which means the directory of the load itself.
    pub temp_dir: Option<PathBuf>,
    /// Which records of a key are kept. Default: [`Duplicates::Newest`].
    pub duplicates: Duplicates,
    /// Whether the load keeps the tables of earlier commits. Default: [`BulkMode::Replace`].
    pub mode: BulkMode,
    /// The family (key space) of the load. Default: 0.
    pub family: u32,
    /// Options of the tables. Whether a table may hold several values per key follows from the
    /// duplicate policy. Default: [`WriterOptions::default`].
    pub writer: WriterOptions,
    /// Highest number of entries of a table. Entries with equal hashes stay together, which may
    /// exceed it. Default: 2²².
    pub max_table_entries: u64,
    /// Highest number of bytes of keys and values of a table, uncompressed and without blobs. A
    /// table has at least one entry, and entries with equal hashes stay together, which may exceed
    /// it. Default: 256 MiB.
    pub max_table_bytes: u64,
    /// Number of tables that are made where fewer would do, for as many threads to write them:
    /// rounded down to a power of 2, and such that each has 16 MiB of keys and values at least.
    /// Default: 1.
    pub min_tables: usize,
    /// Length in bytes above which a value becomes a blob. At most 64 MiB are used. Default: 64
    /// MiB.
    pub blob_threshold: usize,
    /// Whether the load leaves out records that no table can hold, and goes on. Keys with one hash
    /// share a key block, which holds at most 2²⁴ bytes or entries of them.
    /// [`BulkSummary::refused`] counts the records left out; they are the same for any budget and
    /// any number of threads. Default: false, and the load fails with [`BulkError::Entry`] for the
    /// first such record.
    ///
    /// [`BulkSummary::refused`]: crate::bulk::BulkSummary::refused
    /// [`BulkError::Entry`]: crate::bulk::BulkError::Entry
    pub skip_refused: bool,
}

impl Default for BulkOptions {
    fn default() -> Self {
        Self {
            memory_budget: 256 << 20,
            threads: thread::available_parallelism().map_or(1, usize::from),
            temp_dir: None,
            duplicates: Duplicates::default(),
            mode: BulkMode::default(),
            family: 0,
            writer: WriterOptions::default(),
            max_table_entries: 1 << 22,
            max_table_bytes: 256 << 20,
            min_tables: 1,
            blob_threshold: MAX_MEDIUM_VALUE_LEN,
            skip_refused: false,
        }
    }
}

impl BulkOptions {
    /// Sets the memory budget in bytes.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Sets the number of threads that sort and write.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the parent folder of the spill files.
    #[must_use]
    pub fn temp_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(directory.into());
        self
    }

    /// Sets which records of a key are kept.
    #[must_use]
    pub fn duplicates(mut self, policy: Duplicates) -> Self {
        self.duplicates = policy;
        self
    }

    /// Sets whether the load keeps the tables of earlier commits.
    #[must_use]
    pub fn mode(mut self, mode: BulkMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the family (key space) of the load.
    #[must_use]
    pub fn family(mut self, family: u32) -> Self {
        self.family = family;
        self
    }

    /// Sets the options of the tables.
    #[must_use]
    pub fn writer(mut self, options: WriterOptions) -> Self {
        self.writer = options;
        self
    }

    /// Sets the highest number of entries of a table.
    #[must_use]
    pub fn max_table_entries(mut self, entries: u64) -> Self {
        self.max_table_entries = entries;
        self
    }

    /// Sets the highest number of bytes of keys and values of a table.
    #[must_use]
    pub fn max_table_bytes(mut self, bytes: u64) -> Self {
        self.max_table_bytes = bytes;
        self
    }

    /// Sets the number of tables that are made where fewer would do.
    #[must_use]
    pub fn min_tables(mut self, tables: usize) -> Self {
        self.min_tables = tables;
        self
    }

    /// Sets the length above which a value becomes a blob.
    #[must_use]
    pub fn blob_threshold(mut self, bytes: usize) -> Self {
        self.blob_threshold = bytes;
        self
    }

    /// Sets whether the load leaves out records that no table can hold.
    #[must_use]
    pub fn skip_refused(mut self, skip: bool) -> Self {
        self.skip_refused = skip;
        self
    }
}
