//! One bare file with its filter, written by the writer and read by the reader, which do not know
//! each other.

use std::error::Error;

use sst_amqf::QuotientFilter;
use sst_reader::{Lookup, ReaderOptions, StaticSortedFile};
use sst_writer::table::{write_description, write_static_sorted_file};
use sst_writer::{Entry, WriterOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let parent = tempfile::tempdir()?;
    let path = parent.path().join("numbers.sst");

    let mut rows: Vec<(String, String)> =
        (0..10_000).map(|i| (format!("key {i}"), format!("value {i}"))).collect();
    rows.sort_by_cached_key(|row| (row.key_hash(), row.0.clone()));
    let options = WriterOptions::default().filter(QuotientFilter::default());
    let finished = write_static_sorted_file(&rows, &path, options)?;
    write_description(&path, &finished.meta)?;

    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let table = StaticSortedFile::open_standalone(&path, &options)?;
    for i in [0, 4_711, 9_999] {
        match table.get(format!("key {i}"))? {
            Lookup::Value(value) => assert_eq!(value, format!("value {i}").as_bytes()),
            other => return Err(format!("key {i}: {other:?}").into()),
        }
    }
    // The filter answers nearly all of these without a read.
    let passed = (0..10_000)
        .filter(|i| table.may_contain(sst_reader::hash_key(format!("no {i}").as_bytes())))
        .count();
    println!("{} keys, {passed} of 10,000 others pass the filter", rows.len());
    assert!(passed < 300);
    assert_eq!(table.iter().count(), rows.len());
    Ok(())
}
