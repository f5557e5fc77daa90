//! How inputs are merged.

use std::ops::RangeInclusive;

use sst_writer::WriterOptions;

use crate::{Duplicates, OlderTables};

/// How inputs are merged, and what is written. Start from the default and change what you need.
///
/// # Examples
///
/// ```
/// use sst_merge::{Duplicates, MergeOptions};
///
/// let options = MergeOptions::default().duplicates(Duplicates::Keep).max_table_bytes(64 << 20);
/// assert_eq!(options.max_table_entries, 1 << 22);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MergeOptions {
    /// Which entries are kept of a key that comes more than once. Default: [`Duplicates::Newest`].
    pub duplicates: Duplicates,
    /// Tables that stay below the output: tombstones that may hide something in them are kept, all
    /// others are dropped. Default: [`OlderTables::none`].
    pub older: OlderTables,
    /// The hashes of the keys that are merged; all others are left out, and not read. Default: all.
    pub hashes: RangeInclusive<u64>,
    /// A table gets at most this many entries, except that entries with equal hashes stay together.
    /// Default: 2²².
    pub max_table_entries: u64,
    /// A table gets at most this many bytes of keys and values, uncompressed and without those in
    /// blob files, except that it has at least one entry and that entries with equal hashes stay
    /// together. Default: 256 MiB.
    pub max_table_bytes: u64,
    /// A table ends before each of these hashes, which ascend. Default: none.
    pub cuts: Vec<u64>,
    /// How tables are written. That a key may come more than once is always allowed, so
    /// [`WriterOptions::multi_value`] is ignored. Default: that of the writer, without filters.
    pub writer: WriterOptions,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            duplicates: Duplicates::default(),
            older: OlderTables::none(),
            hashes: 0..=u64::MAX,
            max_table_entries: 1 << 22,
            max_table_bytes: 256 << 20,
            cuts: Vec::new(),
            writer: WriterOptions::default(),
        }
    }
}

impl MergeOptions {
    /// Sets which entries are kept of a key that comes more than once.
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Sets which tables stay below the output.
    #[must_use]
    pub fn older(mut self, older: OlderTables) -> Self {
        self.older = older;
        self
    }

    /// Sets the hashes of the keys that are merged.
    #[must_use]
    pub fn hashes(mut self, hashes: RangeInclusive<u64>) -> Self {
        self.hashes = hashes;
        self
    }

    /// Sets how many entries a table gets at most.
    #[must_use]
    pub fn max_table_entries(mut self, max_table_entries: u64) -> Self {
        self.max_table_entries = max_table_entries;
        self
    }

    /// Sets how many bytes of keys and values a table gets at most.
    #[must_use]
    pub fn max_table_bytes(mut self, max_table_bytes: u64) -> Self {
        self.max_table_bytes = max_table_bytes;
        self
    }

    /// Sets the hashes before each of which a table ends, ascending.
    #[must_use]
    pub fn cuts(mut self, cuts: Vec<u64>) -> Self {
        self.cuts = cuts;
        self
    }

    /// Sets how tables are written.
    #[must_use]
    pub fn writer(mut self, writer: WriterOptions) -> Self {
        self.writer = writer;
        self
    }
}
