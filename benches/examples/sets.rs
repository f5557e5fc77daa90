//! What a set costs by the number of its files: the same entries in 1, 100 and 10,000 tables.
//!
//! ```sh
//! cargo run --release -p sst-benches --example sets
//! cargo run --release -p sst-benches --example sets -- --entries 4000000 --files 1,40000
//! ```
//!
//! Times are processor time of this thread, medians over the rounds; ratios compare with a lone table of all entries,
//! looked up in the same round. Memory is what the allocator handed out, so maps are not in it.

#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use sst_amqf::QuotientFilter;
use sst_benches::workload::{Data, Workload};
use sst_benches::{Figure, table};
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::MetaFile;
use sst_reader::{ReaderOptions, SstSet, StaticSortedFile};
use sst_writer::{Compression, Publisher, PublisherOptions, WriterOptions};

type AnyError = Box<dyn Error>;

/// Measures opening and lookups of sets by the number of their files.
#[derive(Parser)]
struct Arguments {
    /// Numbers of files.
    #[arg(long, default_value = "1,100,10000", value_delimiter = ',')]
    files: Vec<usize>,
    /// Entries, of 16-byte keys and 100-byte values, in all files together.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// Lookups of a round.
    #[arg(long, default_value_t = 200_000)]
    lookups: usize,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
}

fn main() -> Result<(), AnyError> {
    let arguments = Arguments::parse();
    let workload =
        Workload { name: "sets", entries: arguments.entries, key_len: 16, value_len: 100 };
    let data = Data::new(workload);
    let parent = tempfile::tempdir()?;
    let lone = parent.path().join("lone.sst");
    let meta = table::write(&data, &lone, Compression::Lz4)?;
    let lone = StaticSortedFile::open(&lone, &meta, &options(arguments.entries))?;
    for &files in &arguments.files {
        let dir = parent.path().join(files.to_string());
        publish(&data, &dir, files)?;
        println!("{} entries in {files} tables", arguments.entries);
        opening(&dir, "protected", &arguments)?;
        unprotect(&dir)?;
        opening(&dir, "unprotected", &arguments)?;
        lookups(&dir, &data, &lone, &arguments)?;
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Room for every block, decompressed.
fn options(entries: usize) -> ReaderOptions {
    let cache = sst_reader::BlockCache::new(entries as u64 * 400);
    ReaderOptions::default().filter(QuotientFilter::default()).cache(cache)
}

/// Publishes the entries in tables of about the same size, in one commit.
fn publish(data: &Data, dir: &Path, files: usize) -> Result<(), AnyError> {
    let mut publisher = Publisher::open(dir, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    let mut rows = data.iter();
    for i in 0..files {
        let count = data.workload.entries * (i + 1) / files - data.workload.entries * i / files;
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options)?;
        for row in rows.by_ref().take(count) {
            table.add(row)?;
        }
        commit.add_table(table.finish()?)?;
    }
    commit.publish()?;
    Ok(())
}

/// Makes the directory what the original would have written: no protection section, no checksum in `CURRENT`.
fn unprotect(dir: &Path) -> Result<(), AnyError> {
    let current = dir.join(CURRENT_FILE_NAME);
    let bytes = std::fs::read(&current)?;
    let sequence = Current::parse(&bytes, crc32fast::hash)?.sequence;
    let meta = dir.join(FileName { sequence, kind: FileKind::Meta }.to_string());
    let mut bytes = std::fs::read(&meta)?;
    let end = MetaFile::parse(&bytes, crc32fast::hash)?.used_keys_range().end;
    bytes.truncate(end);
    std::fs::write(&meta, bytes)?;
    std::fs::write(&current, sequence.0.to_be_bytes())?;
    Ok(())
}

/// Opens the set, and says what that took.
fn opening(dir: &Path, kind: &str, arguments: &Arguments) -> Result<(), AnyError> {
    let options = options(arguments.entries);
    let mut time = Figure::default();
    let mut closed = 0;
    for _ in 0..arguments.rounds.max(1) {
        let before = LIVE.load(Ordering::Relaxed);
        let set = time.sample(1, || SstSet::open(dir, &options))?;
        closed = LIVE.load(Ordering::Relaxed) - before;
        black_box(set);
    }
    let before = LIVE.load(Ordering::Relaxed);
    let set = SstSet::open(dir, &options)?;
    let mut all = Figure::default();
    all.sample(1, || set.open_all())?;
    let open = LIVE.load(Ordering::Relaxed) - before;
    let files = set.tables().count() as u64;
    println!(
        "  {kind:11} open {:8.2} ms, every table too {:8.2} ms; memory per table {} bytes, {} when open",
        time.median() / 1e6,
        all.median() / 1e6,
        closed / files,
        open / files
    );
    Ok(())
}

/// Lookups in sets of several kinds, next to the lone table.
fn lookups(
    dir: &Path,
    data: &Data,
    lone: &StaticSortedFile,
    arguments: &Arguments,
) -> Result<(), AnyError> {
    let plain = options(arguments.entries);
    let files = SstSet::open(dir, &plain)?.tables().count();
    let kinds = [
        ("", plain.clone()),
        (", counted", plain.clone().statistics(true)),
        (", bounded", plain.max_open_files(files)),
    ];
    let sets = kinds.map(|(name, options)| (name, SstSet::open(dir, &options)));
    let len = data.workload.key_len;
    let mut lone_figures: [Figure; 2] = Default::default();
    let mut figures: [[Figure; 3]; 3] = Default::default();
    table::get_present(lone, data.keys(), len)?;
    for round in 0..arguments.rounds {
        let present = data.access(arguments.lookups, round);
        let absent = data.absent(arguments.lookups, round);
        let [hit, miss] = &mut lone_figures;
        hit.sample(arguments.lookups, || table::get_present(lone, &present, len))?;
        miss.sample(arguments.lookups, || table::get_absent(lone, &absent, len))?;
        for ((_, set), [hit, miss, many]) in sets.iter().zip(&mut figures) {
            let set = set.as_ref().map_err(|error| error.to_string())?;
            if round == 0 {
                // Everything is open, verified and cached before anything is measured.
                found(set, data.keys(), len)?;
            }
            hit.sample(arguments.lookups, || found(set, &present, len))?;
            miss.sample(arguments.lookups, || found(set, &absent, len))?;
            many.sample(arguments.lookups, || found_together(set, &present, len))?;
        }
    }
    let [hit, miss] = lone_figures.map(|figure| figure.median());
    println!("  lone table         hit {hit:6.0} ns        miss {miss:6.0} ns");
    for ((name, _), figures) in sets.iter().zip(figures) {
        let [h, m, many] = figures.map(|figure| figure.median());
        println!(
            "  set{name:15} hit {h:6.0} ns {:5.2}  miss {m:6.0} ns {:5.2}  1000 at once {many:6.0} ns {:5.2}",
            h / hit,
            m / miss,
            many / hit
        );
    }
    Ok(())
}

/// Looks up keys one by one. Returns the sum of the first bytes of all values.
fn found(set: &SstSet, keys: &[u8], len: usize) -> Result<u64, AnyError> {
    let mut sum = 0;
    for key in keys.chunks(len) {
        sum += set.get(key)?.map_or(0, |value| first_byte(&value));
    }
    Ok(sum)
}

/// Looks up keys 1,000 at a time.
fn found_together(set: &SstSet, keys: &[u8], len: usize) -> Result<u64, AnyError> {
    let keys: Vec<&[u8]> = keys.chunks(len).collect();
    let mut sum = 0;
    for keys in keys.chunks(1000) {
        let values = set.multi_get(keys)?;
        sum += values.iter().flatten().map(|value| first_byte(value)).sum::<u64>();
    }
    Ok(sum)
}

fn first_byte(value: &[u8]) -> u64 {
    value.first().copied().map_or(0, u64::from)
}

/// Bytes that the allocator has handed out.
static LIVE: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator has no safe form; it passes everything on")]
// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
