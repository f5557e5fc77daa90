//! Bulk loads that use every part of the loader. Unordered records spill to disk. One bucket is too
//! large and is sorted in runs. Keys are repeated. Values go into blob files. There are several
//! tables.

use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_writer::bulk::BulkMode;
use sst_writer::{BulkError, BulkLoader, BulkOptions, Monitor, Publisher, WriterOptions};

use super::steps::{self, Content, key};

/// Number of records with the long key.
const LONG_KEY_RECORDS: u64 = 4;
/// Length of the long key in bytes. Its records are larger than the memory in which a thread sorts
/// with the lowest budget, 1 MiB.
const LONG_KEY_LEN: usize = 300_000;

/// One bulk load of family 0. All values contain its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Whether the tables of earlier commits are kept.
    pub mode: BulkMode,
    /// Number of keys. A load sets some of them and deletes others.
    pub keys: u64,
    /// Highest number of entries of a table.
    pub table_entries: u64,
    /// Threads that sort and write. With one thread, a load does the same operations in the same
    /// order each time.
    pub threads: usize,
    /// Whether temporary files go to a folder beside the directory.
    pub spills_elsewhere: bool,
}

/// Number of keys that may have values in blob files. Each blob file costs a sync.
const KEYS_WITH_BLOBS: u64 = 40;

/// The record of a key in a load.
enum Record {
    Set,
    SetBlob,
    Delete,
    Nothing,
}

fn record(number: u64, index: u64) -> Record {
    match (index + number) % 9 {
        0 => Record::Delete,
        1 if index < KEYS_WITH_BLOBS => Record::SetBlob,
        1..=5 => Record::Set,
        _ => Record::Nothing,
    }
}

/// The value of a key. Most values wait in memory for their block; a few are inline, and a few are
/// so long that they are stored apart from their records.
fn value(number: u64, index: u64) -> Vec<u8> {
    match index % 8 {
        0..=3 => steps::value(number, index),
        _ => format!("value {index} of load {number} ").repeat(30).into_bytes(),
    }
}

fn long_key() -> Vec<u8> {
    vec![b'k'; LONG_KEY_LEN]
}

impl Load {
    /// A load of a few records on one thread. It takes milliseconds, so that a run for each of its
    /// operations is affordable.
    #[must_use]
    pub const fn small(mode: BulkMode) -> Self {
        Self { mode, keys: 24, table_entries: 6, threads: 1, spills_elsewhere: false }
    }

    /// The folder for temporary files beside a directory.
    #[must_use]
    pub fn spilled(directory: &Path) -> PathBuf {
        directory.with_file_name("spilled")
    }

    /// The options of a load into a directory. The budget is the smallest, so that all records are
    /// spilled before they are written.
    #[must_use]
    pub fn options(&self, directory: &Path) -> BulkOptions {
        let writer = WriterOptions::default().filter(QuotientFilter::default());
        let options = BulkOptions::default()
            .memory_budget(0)
            .mode(self.mode)
            .threads(self.threads)
            .max_table_entries(self.table_entries)
            .writer(writer);
        if self.spills_elsewhere { options.temp_dir(Self::spilled(directory)) } else { options }
    }

    /// Runs the load.
    ///
    /// # Errors
    ///
    /// The error of the loader.
    pub fn apply(
        &self,
        publisher: &mut Publisher,
        number: u64,
        options: BulkOptions,
        monitor: &Monitor,
    ) -> Result<(), BulkError> {
        let loader = BulkLoader::new(publisher, options, monitor)?;
        let mut handle = loader.handle(0);
        for times in 1..=LONG_KEY_RECORDS {
            handle.put(long_key(), value(number, times))?;
        }
        // Keys come in descending order, so that nothing is sorted already. Each key comes twice,
        // and the second record counts.
        for index in (0..self.keys).rev() {
            let (key, value) = (key(index), value(number, index));
            match record(number, index) {
                Record::Nothing => continue,
                _ if index.is_multiple_of(4) => handle.put(&key, b"too early")?,
                _ => handle.delete(&key)?,
            }
            match record(number, index) {
                Record::Set => handle.put(&key, &value)?,
                Record::SetBlob => handle.put_blob(&key, &value)?,
                Record::Delete => handle.delete(&key)?,
                Record::Nothing => {}
            }
        }
        handle.finish()?;
        loader.finish().map(drop)
    }

    /// The content of a directory after the load, if it was `content` before.
    pub fn change(&self, content: &mut Content, number: u64) {
        if self.mode == BulkMode::Replace {
            content.retain(|(family, _), _| *family != 0);
        }
        content.insert((0, long_key()), value(number, LONG_KEY_RECORDS));
        for index in 0..self.keys {
            match record(number, index) {
                Record::Set | Record::SetBlob => {
                    content.insert((0, key(index)), value(number, index));
                }
                Record::Delete => drop(content.remove(&(0, key(index)))),
                Record::Nothing => {}
            }
        }
    }
}
