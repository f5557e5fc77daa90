//! The stores that are measured: directories with one commit. Keys and values are computed from the
//! number of an entry.

use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_benches::random::Random;
use sst_writer::{Publisher, PublisherOptions, WriterOptions};

use crate::Result;
use crate::names::{Commit, hash_key, publish};

/// Length of a key in bytes.
const KEY_LEN: usize = 16;

pub(crate) type Key = [u8; KEY_LEN];

/// Returns the key of an entry. Numbers from the number of entries on give absent keys.
pub(crate) fn key(number: usize) -> Key {
    let mut random = Random::new(number as u64);
    let mut key = [0; KEY_LEN];
    random.fill(&mut key);
    key
}

/// Returns the value of an entry: half of it is random, the other half is one repeated byte.
fn value(number: usize, len: usize) -> Vec<u8> {
    let mut random = Random::new(!(number as u64));
    let mut value = vec![7; len];
    let (half, _) = value.split_at_mut(len / 2);
    random.fill(half);
    value
}

/// Divides the numbers of `entries` entries into tables. The hashes of every table cover the full
/// range.
pub(crate) fn overlapping(entries: usize, tables: usize) -> Vec<Vec<usize>> {
    (0..tables).map(|table| (table..entries).step_by(tables).collect()).collect()
}

/// Divides the numbers of `entries` entries into tables with disjoint ranges of hashes.
pub(crate) fn disjoint(entries: usize, tables: usize) -> Vec<Vec<usize>> {
    let mut numbers: Vec<usize> = (0..entries).collect();
    numbers.sort_by_cached_key(|number| hash_key(&key(*number)));
    numbers.chunks(entries.div_ceil(tables)).map(<[usize]>::to_vec).collect()
}

/// The options of a table.
pub(crate) fn options() -> WriterOptions {
    WriterOptions::default().filter(QuotientFilter::default())
}

/// The options of a table with blocks of this size; `None` if this commit cannot choose it.
pub(crate) fn options_with_blocks(block_size: Option<usize>) -> Option<WriterOptions> {
    match block_size {
        None => Some(options()),
        // Commits before the option lack it; `cargo xtask conditions` sets this.
        #[cfg(sst_before_block_sizes)]
        Some(_) => None,
        #[cfg(not(sst_before_block_sizes))]
        Some(size) => Some(options().value_block_size(size).key_block_size(size)),
    }
}

/// Writes a store of these tables in one commit. Does nothing if the store exists.
pub(crate) fn write(
    dir: &Path,
    tables: &[Vec<usize>],
    value_len: usize,
    options: &WriterOptions,
) -> Result<()> {
    if dir.join("CURRENT").exists() {
        return Ok(());
    }
    let mut publisher = Publisher::open(dir, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    for numbers in tables {
        add_table(&mut commit, numbers, value_len, options)?;
    }
    publish(commit)
}

/// Writes the entries with these numbers into a table of a commit.
pub(crate) fn add_table(
    commit: &mut Commit<'_>,
    numbers: &[usize],
    value_len: usize,
    options: &WriterOptions,
) -> Result<()> {
    let mut rows: Vec<_> = numbers.iter().map(|number| (key(*number), *number)).collect();
    rows.sort_by_cached_key(|(key, _)| (hash_key(key), *key));
    let mut table = commit.create_table(options.clone())?;
    for (key, number) in &rows {
        table.add((key, value(*number, value_len).as_slice()))?;
    }
    let table = table.finish()?;
    commit.add_table(table)?;
    Ok(())
}
