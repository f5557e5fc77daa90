//! How records are loaded.

use std::path::PathBuf;
use std::thread;

use sst_format::limits::MAX_MEDIUM_VALUE_LEN;

use super::duplicates::Duplicates;
use crate::{Monitor, WriterOptions};

/// Whether the tables of earlier commits stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkMode {
    /// They are replaced: afterwards the key space holds what was loaded and nothing else.
    #[default]
    Replace,
    /// They stay below the new ones: an entry that was loaded hides those of its key, a deletion
    /// too.
    Increment,
}

/// How a [`BulkLoader`](crate::BulkLoader) works. Start from the default and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BulkOptions {
    /// Memory in bytes for records, sorting and writing; [`BulkLoader`](crate::BulkLoader) says
    /// what comes on top. At least 4 MiB are used. Default: 256 MiB.
    pub memory_budget: usize,
    /// Threads that sort and write. At least 1. Default: as many as the machine runs at once.
    pub threads: usize,
    /// Where to spill what does not fit into the budget. Default: `None`, the directory loaded
    /// into.
    pub temp_dir: Option<PathBuf>,
    /// Which records of a key are kept. Default: [`Duplicates::Newest`].
    pub duplicates: Duplicates,
    /// Whether the tables of earlier commits stay. Default: [`BulkMode::Replace`].
    pub mode: BulkMode,
    /// The key space to load into. Default: 0.
    pub family: u32,
    /// How tables are written. Whether they hold several values per key follows from the duplicate
    /// policy. Default: [`WriterOptions::default`].
    pub writer: WriterOptions,
    /// A table gets at most this many entries, except that entries with equal hashes stay together.
    /// Default: 2²².
    pub max_table_entries: u64,
    /// A table gets at most this many bytes of keys and values, uncompressed and without those in
    /// blob files, except that it has at least one entry and that entries with equal hashes stay
    /// together. Default: 256 MiB.
    pub max_table_bytes: u64,
    /// Values longer than this many bytes become blobs. At most 64 MiB are used. Default: 64 MiB.
    pub blob_threshold: usize,
    /// Whether the load goes on without records that no table can hold: keys with one hash share a
    /// key block, which holds 2²⁴ bytes or entries of them. [`BulkSummary::refused`] counts them.
    /// They are the same for any budget and any number of threads. Default: false, and the load
    /// fails with [`BulkError::Entry`] for the first of them.
    ///
    /// [`BulkSummary::refused`]: crate::bulk::BulkSummary::refused
    /// [`BulkError::Entry`]: crate::bulk::BulkError::Entry
    pub skip_refused: bool,
    /// Observes and cancels the load. Default: neither.
    pub monitor: Monitor,
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
            blob_threshold: MAX_MEDIUM_VALUE_LEN,
            skip_refused: false,
            monitor: Monitor::default(),
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

    /// Sets where to spill.
    #[must_use]
    pub fn temp_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(directory.into());
        self
    }

    /// Sets which records are kept of those with the same key.
    #[must_use]
    pub fn duplicates(mut self, policy: Duplicates) -> Self {
        self.duplicates = policy;
        self
    }

    /// Sets whether the tables of earlier commits stay.
    #[must_use]
    pub fn mode(mut self, mode: BulkMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the key space to load into.
    #[must_use]
    pub fn family(mut self, family: u32) -> Self {
        self.family = family;
        self
    }

    /// Sets how tables are written.
    #[must_use]
    pub fn writer(mut self, options: WriterOptions) -> Self {
        self.writer = options;
        self
    }

    /// Sets how many entries a table gets at most.
    #[must_use]
    pub fn max_table_entries(mut self, entries: u64) -> Self {
        self.max_table_entries = entries;
        self
    }

    /// Sets how many bytes of keys and values a table gets at most.
    #[must_use]
    pub fn max_table_bytes(mut self, bytes: u64) -> Self {
        self.max_table_bytes = bytes;
        self
    }

    /// Sets from which length on values become blobs.
    #[must_use]
    pub fn blob_threshold(mut self, bytes: usize) -> Self {
        self.blob_threshold = bytes;
        self
    }

    /// Sets whether the load goes on without records that no table can hold.
    #[must_use]
    pub fn skip_refused(mut self, skip: bool) -> Self {
        self.skip_refused = skip;
        self
    }

    /// Sets what observes and cancels the load.
    #[must_use]
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }
}
