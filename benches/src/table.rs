//! Our table, built from a workload.

use std::error::Error;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_format::SstMeta;
use sst_reader::{BlockCache, Lookup, ReaderOptions, StaticSortedFile};
use sst_writer::{Compression, StreamingSstWriter, WriterOptions};

use crate::workload::Data;

/// Writes all entries of `data` to a plain file at `path`, without fsync, and returns the description of the table.
///
/// # Errors
///
/// Whatever the writer refuses.
pub fn write(
    data: &Data,
    path: &Path,
    compression: Compression,
) -> Result<SstMeta, Box<dyn Error>> {
    let options =
        WriterOptions::default().filter(QuotientFilter::default()).compression(compression);
    let file = std::fs::File::create(path)?;
    let mut writer = StreamingSstWriter::new(file, options);
    for row in data.iter() {
        writer.add(row)?;
    }
    Ok(writer.finish()?.meta)
}

/// Opens the table with a filter and a cache of `cache` bytes.
///
/// # Errors
///
/// Whatever the reader finds.
pub fn open(path: &Path, meta: &SstMeta, cache: u64) -> Result<StaticSortedFile, Box<dyn Error>> {
    let options =
        ReaderOptions::default().filter(QuotientFilter::default()).cache(BlockCache::new(cache));
    Ok(StaticSortedFile::open(path, meta, &options)?)
}

/// Looks up keys that are there, and sums up one byte of each value found.
///
/// # Errors
///
/// Whatever the reader finds, and a key that is missing.
pub fn get_present(
    table: &StaticSortedFile,
    keys: &[u8],
    key_len: usize,
) -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    for key in keys.chunks(key_len) {
        match table.get(key)? {
            Lookup::Value(value) => sum += u64::from(value.first().copied().unwrap_or(0)),
            other => return Err(format!("{}: {other:?}", key.escape_ascii()).into()),
        }
    }
    Ok(sum)
}

/// Looks up keys that are not there, and counts those found all the same.
///
/// # Errors
///
/// Whatever the reader finds.
pub fn get_absent(
    table: &StaticSortedFile,
    keys: &[u8],
    key_len: usize,
) -> Result<u64, Box<dyn Error>> {
    let mut found = 0;
    for key in keys.chunks(key_len) {
        found += u64::from(table.get(key)? != Lookup::NotFound);
    }
    Ok(found)
}

/// Walks all entries, and sums up one byte of each value.
///
/// # Errors
///
/// Whatever the reader finds.
pub fn scan(table: &StaticSortedFile) -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    let mut cursor = table.cursor();
    while cursor.advance()? {
        if let sst_reader::EntryValue::Value(value) = cursor.entry()?.value {
            sum += u64::from(value.first().copied().unwrap_or(0));
        }
    }
    Ok(sum)
}
