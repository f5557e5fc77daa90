//! Measures `push` and `pull` between directories against `cp` of the same files.
//!
//! ```sh
//! cargo run --release -p sst-object-store --example mirror_rate -- [MIB] [ROUNDS] [DIRECTORY]
//! ```
//!
//! Writes MIB mebibytes (1,024) of tables below DIRECTORY (that of the system for temporary files),
//! copies them ROUNDS times (5) in four ways in turn, and removes them. A mirror makes its files
//! durable before it publishes them, so it is compared with `cp` and a sync of the files, and with
//! `cp` alone.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sst_object_store::{MirrorOptions, Monitor, Place, Store, block_on, pull, push};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

/// Length of the values, which do not compress.
const VALUE_LEN: usize = 16 << 10;
/// Number of values in a table: 64 MiB.
const VALUES: u64 = 4096;

type Outcome<T> = Result<T, Box<dyn Error>>;
/// A way to copy a directory, with its name and its times.
type Way = (&'static str, fn(&Path, &Path) -> Outcome<()>, Vec<Duration>);

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn write_tables(directory: &Path, mebibytes: u64) -> Outcome<()> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    let mut state = 1;
    for table in 0..mebibytes.div_ceil(64) {
        let mut keys: Vec<[u8; 16]> =
            (0..VALUES).map(|i| (u128::from(table) << 64 | u128::from(i)).to_be_bytes()).collect();
        keys.sort_unstable_by_key(|key| hash_key(key));
        let mut writer = commit.create_table(WriterOptions::default())?;
        for key in keys {
            let words = (0..VALUE_LEN / 8).map(|_| random(&mut state).to_be_bytes());
            let value = words.collect::<Vec<_>>().concat();
            writer.add((key, EntryValue::Medium(&value)))?;
        }
        commit.add_table(writer.finish()?)?;
    }
    commit.publish(&Monitor::default())?;
    Ok(())
}

fn cp(from: &Path, to: &Path) -> Outcome<()> {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err("cp failed".into()) }
}

fn cp_and_sync(from: &Path, to: &Path) -> Outcome<()> {
    cp(from, to)?;
    for entry in fs::read_dir(to)? {
        File::open(entry?.path())?.sync_all()?;
    }
    Ok(File::open(to)?.sync_all()?)
}

fn push_to(from: &Path, to: &Path) -> Outcome<()> {
    block_on(push(
        from,
        &Place::Directory(to.to_owned()),
        &MirrorOptions::default(),
        &Monitor::default(),
    ))?;
    Ok(())
}

fn pull_from(from: &Path, to: &Path) -> Outcome<()> {
    block_on(pull(
        &Store::from_directory(from)?,
        to,
        &MirrorOptions::default(),
        &Monitor::default(),
    ))?;
    Ok(())
}

/// The median of the times of at least one round, in seconds.
fn median(times: &mut [Duration]) -> f64 {
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    median.as_secs_f64()
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (mebibytes, rounds) = (number(0, 1024)?, number(1, 5)?.max(1));
    let parent = match arguments.get(2) {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    let source = parent.path().join("source");
    write_tables(&source, mebibytes)?;
    let bytes: u64 = fs::read_dir(&source)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<Result<_, std::io::Error>>()?;
    let mut ways: [Way; 4] = [
        ("cp", cp, Vec::new()),
        ("cp and sync", cp_and_sync, Vec::new()),
        ("push", push_to, Vec::new()),
        ("pull", pull_from, Vec::new()),
    ];
    for round in 0..rounds {
        // Each starts a round in its turn, so that none always comes after the same other.
        ways.rotate_left(usize::from(round > 0));
        for (_, copy, times) in &mut ways {
            let target = parent.path().join("target");
            let start = Instant::now();
            copy(&source, &target)?;
            times.push(start.elapsed());
            fs::remove_dir_all(&target)?;
        }
    }
    ways.sort_by_key(|(name, ..)| *name);
    let medians = ways.each_mut().map(|(_, _, times)| median(times));
    let [plain, durable, ..] = medians;
    println!("{bytes} bytes, medians of {rounds} rounds in turn");
    for ((name, ..), seconds) in ways.iter().zip(medians) {
        let rate = bytes as f64 / seconds / f64::from(1 << 20);
        let (of_plain, of_durable) = (plain / seconds, durable / seconds);
        println!(
            "{name:12} {rate:6.0} MiB/s  {of_plain:5.2} of cp  {of_durable:5.2} of cp and sync"
        );
    }
    Ok(())
}
