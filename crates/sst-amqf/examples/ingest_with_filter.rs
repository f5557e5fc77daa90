//! Writes and publishes a table with a filter, then looks up a key that is not there.
//!
//! The filter takes one more line in the options of the writer, and one in those of the reader.
//!
//! `cargo run -p sst-amqf --example ingest_with_filter -- fruit.db`

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::table::hash_key;
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: ingest_with_filter DIR")?;
    let mut rows = [("apple", "red"), ("banana", "yellow"), ("pear", "green")];
    rows.sort_by_key(|(key, _)| (hash_key(key.as_bytes()), *key));

    let mut publisher = Publisher::open(&dir, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    let options = WriterOptions::default().filter(QuotientFilter::with_false_positive_rate(0.01));
    let mut table = commit.create_table(options)?;
    for row in &rows {
        table.add(row)?;
    }
    commit.add_table(table.finish()?)?;
    commit.replace_all();
    commit.publish(&Monitor::default())?;

    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let set = SstSet::open(Path::new(&dir), &options)?;
    println!("plum: {:?}, pear: {:?}", set.get(b"plum")?, set.get(b"pear")?);
    Ok(())
}
