//! Measures a set of many tables: `cargo run --release -p sst-benches --example many_tables`.
//!
//! Writes many tables with disjoint ranges of hashes as one commit. Then opens the directory again
//! and again and looks up absent and present keys. Prints the cost, and for comparison that of the
//! same entries in one table. Times are processor time, medians over rounds, and all files are in
//! the page cache.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use cpu_time::ProcessTime;
use sst_amqf::QuotientFilter;
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::publish::FinishedTable;
use sst_writer::table::hash_key;
use sst_writer::{Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

/// Measures a set of many tables.
#[derive(Parser)]
struct Arguments {
    /// Number of tables.
    #[arg(long, default_value_t = 10_000)]
    tables: usize,
    /// Entries of each table.
    #[arg(long, default_value_t = 100)]
    entries: usize,
    /// Number of rounds; figures are medians over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Highest number of open tables of the bounded set.
    #[arg(long, default_value_t = 256)]
    max_open_files: usize,
}

/// Number of lookups in the bounded set. Nearly each of them opens a table and closes another.
const BOUNDED_LOOKUPS: usize = 20_000;
/// Number of threads that write tables. They mostly wait for the disk.
const WRITERS: usize = 16;

type Key = [u8; 8];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let count = arguments.tables * arguments.entries;
    let mut keys: Vec<Key> = (0..count as u64).map(u64::to_be_bytes).collect();
    keys.sort_unstable_by_key(|key| hash_key(key));
    let scratch = tempfile::tempdir()?;
    let [many, one] = ["many", "one"].map(|name| scratch.path().join(name));
    write(&many, &keys, arguments.entries)?;
    write(&one, &keys, count)?;
    let absent: Vec<Key> = (count as u64..2 * count as u64).map(u64::to_be_bytes).collect();
    // An order that is unrelated to the order of the hashes.
    keys.sort_unstable_by_key(|key| key.map(u8::reverse_bits));
    let options = ReaderOptions::default().filter(QuotientFilter::default()).statistics(true);
    let bounded = options.clone().max_open_files(arguments.max_open_files);
    println!("{} tables of {} entries", arguments.tables, arguments.entries);
    for (name, directory, options, lookups) in [
        ("many tables", &many, &options, count),
        ("many tables, few of them open", &many, &bounded, BOUNDED_LOOKUPS.min(count)),
        ("one table", &one, &options, count),
    ] {
        let [keys, absent] = [&keys, &absent].map(|keys| keys.get(..lookups).unwrap_or(keys));
        measure(name, directory, options, keys, absent, arguments.rounds)?;
    }
    Ok(())
}

/// Writes keys, which are sorted by hash, into tables of `entries` entries each.
fn write(directory: &Path, keys: &[Key], entries: usize) -> Result<(), PublishError> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    let parts: Vec<&[Key]> = keys.chunks(entries.max(1)).collect();
    let table = |keys: &[Key]| {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options)?;
        for key in keys {
            table.add((key, &key[..]))?;
        }
        table.finish()
    };
    let table = &table;
    let tables = std::thread::scope(|scope| {
        let shares = parts.chunks(parts.len().div_ceil(WRITERS).max(1));
        let share = |share| scope.spawn(move || tables_of(share, table));
        let threads: Vec<_> = shares.map(share).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(Vec::new())));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    for table in tables.into_iter().flatten() {
        commit.add_table(table)?;
    }
    commit.publish(&Monitor::default()).map(drop)
}

fn tables_of(
    parts: &[&[Key]],
    table: &impl Fn(&[Key]) -> Result<FinishedTable, PublishError>,
) -> Result<Vec<FinishedTable>, PublishError> {
    parts.iter().map(|keys| table(keys)).collect()
}

fn measure(
    name: &str,
    directory: &Path,
    options: &ReaderOptions,
    keys: &[Key],
    absent: &[Key],
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let (mut open, mut misses, mut first, mut hits) = (vec![], vec![], vec![], vec![]);
    let mut opened = (0, 0);
    for _ in 0..rounds.max(1) {
        let start = ProcessTime::now();
        let set = SstSet::open(directory, options)?;
        open.push(start.elapsed());
        let look_up = |keys: &[Key], expected: bool| -> Result<Duration, Box<dyn Error>> {
            let start = ProcessTime::now();
            for key in keys {
                if black_box(set.get(key)?).is_some() != expected {
                    return Err("a lookup is wrong".into());
                }
            }
            Ok(start.elapsed() / u32::try_from(keys.len())?)
        };
        misses.push(look_up(absent, false)?);
        opened.0 = set.open_table_count();
        first.push(look_up(keys, true)?);
        hits.push(look_up(keys, true)?);
        opened.1 = set.open_table_count();
    }
    println!(
        "{name}: open {:?}; miss {:?}, then {} tables are open; hit {:?} while tables are opened, {:?} afterwards, then {} are open",
        median(open),
        median(misses),
        opened.0,
        median(first),
        median(hits),
        opened.1,
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
