//! Publishes the entries of a Next.js cache in a new directory, in all forms that a directory of
//! ours can have, for `cargo xtask nextjs`:
//!
//! 1. a commit of several meta files for each family, with several tables in each meta file;
//! 2. small commits of other keys, until their tables are described again by later meta files;
//! 3. a commit that is rolled back, so that a `.del` file names its meta file;
//! 4. generations that are kept, with their tables;
//! 5. a temporary file, as of a writer at work.
//!
//! ```text
//! cargo run --release -p sst-conformance --example nextjs_directory -- CACHE NEW_DIRECTORY
//! ```

#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::error::Error;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sst_amqf::QuotientFilter;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::MetaLimits;
use sst_merge::{Duplicates, Inputs, MergeOptions, Monitor, merge_into_commit};
use sst_reader::{Catalog, ReaderOptions};
use sst_writer::{Publisher, PublisherOptions, WriterOptions};

/// The families of a Turbopack cache. In the last one a key may have several values.
const FAMILIES: [(u32, Duplicates); 4] = [
    (0, Duplicates::Newest),
    (1, Duplicates::Newest),
    (2, Duplicates::Newest),
    (3, Duplicates::Keep),
];

/// Number of small commits at least, and at most. When tables are described again depends on the
/// number of meta files before them, and so on the cache.
const SMALL_COMMITS: RangeInclusive<u32> = 20..=100;

/// The name of a file that a writer of ours has not completed.
const TEMPORARY: &str = ".sst-a1b2c3-tmp";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [cache, directory] = arguments.as_slice() else {
        println!("usage: nextjs_directory CACHE NEW_DIRECTORY");
        return ExitCode::from(3);
    };
    match run(cache, directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cache: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    // Two tables in each meta file: the records of a table take 58 bytes.
    let small = MetaLimits::default().record_bytes(2 * 58);
    let options = PublisherOptions::default().keep_generations(3);
    let mut publisher = Publisher::open(directory, options.clone().meta_limits(small))?;
    for (family, duplicates) in FAMILIES {
        merge_family(&mut publisher, cache, family, duplicates)?;
    }
    let parts = meta_files(directory)?.len();
    drop(publisher);
    let mut publisher = Publisher::open(directory, options)?;
    // The newest small commit describes the tables of several meta files again, so these are kept
    // only for the generations before it.
    let (mut small_commits, mut superseded) = (0, 0);
    while small_commits < *SMALL_COMMITS.start()
        || superseded < 3 && small_commits < *SMALL_COMMITS.end()
    {
        let before = live_meta_files(directory)?;
        small_commit(&mut publisher, small_commits)?;
        superseded = (before + 1).saturating_sub(live_meta_files(directory)?);
        small_commits += 1;
    }
    let redescribed = most_described(directory)?;
    small_commit(&mut publisher, small_commits)?;
    publisher.rollback(None, &Monitor::default())?;
    let newest = publisher.current().ok_or("a commit was made")?;
    drop(publisher);
    let del = FileName { sequence: newest, kind: FileKind::Del }.to_string();
    let kept = meta_files(directory)?.len() - live_meta_files(directory)?;
    for (is_there, what) in [
        (parts > 2 * FAMILIES.len(), "commits of several meta files"),
        (redescribed > 2, "a meta file that describes tables again"),
        (directory.join(del).exists(), "a .del file of a rollback"),
        (kept > 2, "meta files of generations that are kept"),
    ] {
        if !is_there {
            return Err(format!("the directory lacks {what}").into());
        }
    }
    fs::write(directory.join(TEMPORARY), "not complete")?;
    println!(
        "{parts} meta files of {} commits, one that describes {redescribed} tables, {kept} of kept \
         generations, a rollback and a temporary file",
        FAMILIES.len()
    );
    Ok(())
}

/// Publishes the entries of a family as several tables.
fn merge_family(
    publisher: &mut Publisher,
    cache: &Path,
    family: u32,
    duplicates: Duplicates,
) -> Result<(), Box<dyn Error>> {
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(cache, family)?;
    let writer = WriterOptions::default().filter(QuotientFilter::default());
    // A cache that Next.js has written to states no number of entries.
    let entries = inputs.entry_count().unwrap_or(200_000);
    let options = MergeOptions::default()
        .duplicates(duplicates)
        .writer(writer)
        .max_table_entries((entries / 6).max(1));
    let mut commit = publisher.begin_family(family);
    merge_into_commit(&inputs, &mut commit, &options, &Monitor::default())?;
    commit.publish(&Monitor::default())?;
    Ok(())
}

/// Publishes a key that Next.js does not ask for.
fn small_commit(publisher: &mut Publisher, number: u32) -> Result<(), Box<dyn Error>> {
    let mut commit = publisher.begin_family(0);
    let options = WriterOptions::default().filter(QuotientFilter::default());
    let mut table = commit.create_table(options)?;
    table.add((format!("a key of sst {number}").as_str(), "value"))?;
    let table = table.finish()?;
    commit.add_table(table)?;
    commit.publish(&Monitor::default())?;
    Ok(())
}

/// Names of the meta files of a directory, live or not.
fn meta_files(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for file in fs::read_dir(directory)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(Some(name).filter(|name| name.ends_with(".meta")));
    }
    Ok(names)
}

/// Number of meta files of the newest commit.
fn live_meta_files(directory: &Path) -> Result<usize, Box<dyn Error>> {
    Ok(Catalog::read(directory)?.meta_files.len())
}

/// The highest number of tables that a live meta file describes.
fn most_described(directory: &Path) -> Result<usize, Box<dyn Error>> {
    let mut most = 0;
    for sequence in Catalog::read(directory)?.meta_files {
        let name = FileName { sequence, kind: FileKind::Meta };
        let bytes = fs::read(directory.join(name.to_string()))?;
        most = most.max(MetaFile::parse(&bytes, crc32fast::hash)?.tables().len());
    }
    Ok(most)
}
