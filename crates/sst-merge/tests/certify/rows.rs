//! Entries to write, and publishers that certify.

use std::path::Path;

use sst_format::BlobNumber;
use sst_format::block::{BlockHeader, Encoding};
use sst_merge::{MergeError, certify};
use sst_writer::bulk::BulkSummary;
use sst_writer::table::{HashedEntry, hash_key};
use sst_writer::{BulkLoader, EntryValue, Monitor, Publisher, PublisherOptions};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hash: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Value,
}

/// A value, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Inline(Vec<u8>),
    Small(Vec<u8>),
    Medium(Vec<u8>),
    /// A medium value in stored form.
    Stored(Encoding, Vec<u8>),
    Blob(u32),
    Deleted,
}

impl Row {
    pub(crate) fn new(key: impl Into<Vec<u8>>, value: Value) -> Self {
        let key = key.into();
        Self { hash: hash_key(&key), key, value }
    }
}

impl Row {
    /// The entry for a writer.
    pub(crate) fn entry(&self) -> HashedEntry<'_> {
        let value = match &self.value {
            Value::Inline(value) => EntryValue::Inline(value),
            Value::Small(value) => EntryValue::Small(value),
            Value::Medium(value) => EntryValue::Medium(value),
            Value::Stored(encoding, block) => {
                let header = BlockHeader { encoding: *encoding, checksum: crc32fast::hash(block) };
                EntryValue::MediumStored { header, block }
            }
            &Value::Blob(number) => EntryValue::Blob(BlobNumber(number)),
            Value::Deleted => EntryValue::Deleted,
        };
        HashedEntry { hash: self.hash, key: &self.key, value }
    }
}

/// Sorts rows as a table wants them. Rows of one key keep their order.
pub(crate) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| (a.hash, &a.key).cmp(&(b.hash, &b.key)));
    rows
}

/// A publisher whose commits can be certified.
pub(crate) fn certified() -> PublisherOptions {
    PublisherOptions::default().digest(true)
}

pub(crate) fn open(directory: &Path) -> Publisher {
    Publisher::open(directory, certified()).unwrap()
}

/// Publishes a load, certified.
pub(crate) fn finish(loader: BulkLoader<'_>) -> Result<BulkSummary, MergeError> {
    let mut load = loader.prepare().unwrap();
    certify(load.commit(), &Monitor::default())?;
    Ok(load.publish().unwrap())
}
