//! Measures the time that the writer takes per entry.
//!
//! `cargo run --release -p sst-writer --example measure_writer [directory]`
//!
//! A million entries are prepared beforehand and written several times, without a filter, into a
//! sink that drops everything and, if a directory is given, into a file there. For each window of
//! entries the fastest time counts, so that other load on the machine has little influence.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sst_writer::file::Sink;
use sst_writer::table::{Compression, hash_key};
use sst_writer::{Entry, EntryValue, StreamingSstWriter, WriteError, WriterOptions};

const ENTRIES: usize = 1_000_000;
/// Number of entries between two readings of the clock.
const WINDOW: usize = 10_000;
const RUNS: usize = 15;

struct Row {
    hash: u64,
    key: [u8; 16],
    value: Vec<u8>,
}

impl Entry for Row {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        self.key.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key);
    }

    fn value(&self) -> EntryValue<'_> {
        EntryValue::for_bytes(&self.value).unwrap_or(EntryValue::Deleted)
    }
}

/// Random bytes, which do not compress. They are the same in every run.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (word ^ (word >> 31)).to_be_bytes();
            chunk.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        }
    }
}

fn rows(value_len: usize) -> Vec<Row> {
    let mut random = Random(1);
    let mut rows: Vec<Row> = (0..ENTRIES)
        .map(|_| {
            let mut key = [0; 16];
            random.fill(&mut key);
            Row { hash: hash_key(&key), key, value: Vec::new() }
        })
        .collect();
    rows.sort_unstable_by_key(|row| (row.hash, row.key));
    // Allocated in the order of reading, so that the times do not include cache misses of the
    // caller.
    for row in &mut rows {
        row.value = vec![0; value_len];
        random.fill(&mut row.value);
    }
    rows
}

/// Times of one run: for each window of entries, then for finishing.
fn write<S: Sink>(
    rows: &[Row],
    mut writer: StreamingSstWriter<S>,
) -> Result<Vec<Duration>, WriteError> {
    let mut times = Vec::new();
    for window in rows.chunks(WINDOW) {
        let start = Instant::now();
        window.iter().try_for_each(|row| writer.add(row))?;
        times.push(start.elapsed());
    }
    let start = Instant::now();
    writer.finish()?;
    times.push(start.elapsed());
    Ok(times)
}

fn report(
    what: &str,
    run: impl Fn() -> Result<Vec<Duration>, WriteError>,
) -> Result<(), WriteError> {
    let mut best = run()?;
    for _ in 1..RUNS {
        best.iter_mut().zip(run()?).for_each(|(best, time)| *best = time.min(*best));
    }
    let finish = best.pop().unwrap_or_default().as_secs_f64() * 1e3;
    let added: Duration = best.iter().sum();
    let per_entry = added.as_secs_f64() * 1e9 / ENTRIES as f64;
    println!("{what:<32} {per_entry:6.1} ns per entry, then {finish:5.1} ms to finish");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1);
    for value_len in [8, 100] {
        let rows = rows(value_len);
        for compression in [Compression::Lz4, Compression::None] {
            let options = || WriterOptions::default().compression(compression);
            let what = format!("16 + {value_len}, {compression:?}");
            report(&format!("{what}, no output"), || {
                write(&rows, StreamingSstWriter::new(io::sink(), options()))
            })?;
            let Some(directory) = &directory else { continue };
            let path = Path::new(directory).join("measure.sst");
            report(&format!("{what}, file with fsync"), || {
                let times = write(&rows, StreamingSstWriter::create(&path, options())?);
                _ = std::fs::remove_file(&path);
                times
            })?;
        }
    }
    Ok(())
}
