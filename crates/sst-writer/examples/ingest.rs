//! Publishes the lines of standard input, `key<TAB>value`, as the new content of a directory:
//! `cargo run -p sst-writer --example ingest DIRECTORY < lines`.

use std::error::Error;
use std::io::stdin;

use sst_writer::{Entry, Monitor, Publisher, PublisherOptions, WriterOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: ingest DIRECTORY < lines")?;
    let lines = stdin().lines().collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<_> = lines.iter().filter_map(|line| line.split_once('\t')).collect();
    rows.sort_by_cached_key(|row| (row.key_hash(), row.0));

    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    commit.replace_all();
    if !rows.is_empty() {
        let mut table = commit.create_table(WriterOptions::default())?;
        rows.iter().try_for_each(|row| table.add(row))?;
        commit.add_table(table.finish()?)?;
    }
    commit.publish(&Monitor::default())?;
    Ok(())
}
