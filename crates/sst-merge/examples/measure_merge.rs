//! Measures merging next to its floor, copying and checksumming the same bytes once:
//! `cargo run --release -p sst-merge --example measure_merge [ROUNDS [WORKLOAD]]`.
//!
//! All figures are CPU time of this process, the least of several rounds in which merge and floor
//! take turns.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement prints, and may fail"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cpu_time::ProcessTime;
use sst_merge::{Diff, Duplicates, Inputs, MergeOptions, Monitor, merge_into_commit};
use sst_reader::ReaderOptions;
use sst_writer::table::{Compression, hash_key, write_static_sorted_file};
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Workload {
    name: &'static str,
    /// Entries of all tables.
    entries: u64,
    /// The tables that the entries are spread over.
    tables: usize,
    value_len: usize,
    compression: Compression,
    /// Whether each table has its own range of hashes.
    is_disjoint: bool,
}

const fn workload(name: &'static str, entries: u64, value_len: usize) -> Workload {
    Workload {
        name,
        entries,
        tables: 4,
        value_len,
        compression: Compression::Lz4,
        is_disjoint: false,
    }
}

fn main() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse::<u32>())?;
    let workloads = [
        workload("inline: 16 + 8 bytes", 1 << 20, 8),
        Workload { tables: 10, ..workload("inline, ten tables", 1 << 20, 8) },
        workload("small: 16 + 100 bytes", 1 << 20, 100),
        Workload { is_disjoint: true, ..workload("small, disjoint tables", 1 << 20, 100) },
        Workload {
            compression: Compression::None,
            ..workload("small, uncompressed", 1 << 20, 100)
        },
        workload("medium: 16 + 8192 bytes", 1 << 15, 8192),
    ];
    println!(
        "{:<26} {:>9} {:>9} {:>9} {:>7} {:>9} {:>7}",
        "workload", "output", "floor", "merge", "ratio", "per entry", "diff"
    );
    let only = std::env::args().nth(2);
    for workload in &workloads {
        if only.as_ref().is_none_or(|name| workload.name.contains(name.as_str())) {
            measure(workload, rounds)?;
        }
    }
    Ok(())
}

fn measure(workload: &Workload, rounds: u32) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let paths = write_tables(workload, scratch.path())?;
    let mut inputs = Inputs::new(&ReaderOptions::default());
    paths.iter().try_for_each(|path| inputs.add_table(path))?;
    let writer = WriterOptions::default().compression(workload.compression);
    let options = MergeOptions::default().writer(writer);
    let out = scratch.path().join("out");
    let (mut merge, mut floor, mut diff) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut bytes = Vec::new();
    for _ in 0..=rounds {
        let start = ProcessTime::now();
        let mut publisher = Publisher::open(&out, PublisherOptions::default())?;
        let mut commit = publisher.begin();
        commit.replace_all();
        let report = merge_into_commit(&inputs, &mut commit, &options, &Monitor::default())?;
        commit.publish(&Monitor::default())?;
        merge = merge.min(start.elapsed());
        assert_eq!(report.entries, workload.entries);
        drop(publisher);

        bytes.clear();
        let catalog = sst_reader::Catalog::read(&out)?;
        for table in &catalog.tables {
            bytes.extend(std::fs::read(table.path(&out))?);
        }
        let mut copy = vec![0; bytes.len()];
        let start = ProcessTime::now();
        copy.copy_from_slice(&bytes);
        std::hint::black_box(crc32fast::hash(std::hint::black_box(&copy)));
        floor = floor.min(start.elapsed());

        let mut merged = Inputs::new(&ReaderOptions::default());
        merged.add_directory(&out, 0)?;
        let start = ProcessTime::now();
        let mut compared =
            Diff::new(&inputs, &merged, 0..=u64::MAX, Duplicates::Newest, &Monitor::default())?;
        assert!(compared.next()?.is_none());
        diff = diff.min(start.elapsed());
    }
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{:<26} {:>6.1} MB {:>6.1} ms {:>6.0} ms {:>7.1} {:>6.0} ns {:>4.0} ms",
        workload.name,
        bytes.len() as f64 / 1e6,
        millis(floor),
        millis(merge),
        merge.as_secs_f64() / floor.as_secs_f64(),
        merge.as_secs_f64() * 1e9 / workload.entries as f64,
        millis(diff),
    );
    Ok(())
}

/// Writes the tables of a workload: every key is in one of them.
fn write_tables(workload: &Workload, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut keys: Vec<(u64, [u8; 16])> = (0..workload.entries)
        .map(|i| {
            let mut key = [0; 16];
            key.copy_from_slice(format!("{:016x}", hash_key(&i.to_be_bytes())).as_bytes());
            (hash_key(&key), key)
        })
        .collect();
    keys.sort_unstable();
    // Half of each value repeats, so that it compresses to a little more than half.
    let value = |i: usize| -> Vec<u8> {
        let mut state = i as u64;
        (0..workload.value_len)
            .map(|at| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if at % 64 < 32 { b'v' } else { state.to_be_bytes()[0] }
            })
            .collect()
    };
    let per_table = keys.len().div_ceil(workload.tables);
    let mut paths = Vec::new();
    for table in 0..workload.tables {
        let is_of_table = |at: usize| match workload.is_disjoint {
            true => at / per_table == table,
            false => at % workload.tables == table,
        };
        let values: Vec<_> =
            (0..keys.len()).filter(|at| is_of_table(*at)).map(|at| (at, value(at))).collect();
        let entries: Vec<_> = values
            .iter()
            .map(|(at, value)| {
                (keys[*at].1, EntryValue::for_bytes(value).unwrap_or(EntryValue::Medium(value)))
            })
            .collect();
        let path = dir.join(format!("{table}.sst"));
        let options = WriterOptions::default().compression(workload.compression);
        write_static_sorted_file(&entries, &path, options)?;
        paths.push(path);
    }
    Ok(paths)
}
