//! The fixed operations whose instructions `cargo xtask instructions` counts.
//!
//! Under callgrind, only the work inside [`counted`] is counted. Each operation prints its name and
//! the number of times that it ran. The order of these lines is the order of the counts, so that
//! the parent process can match them. The data is small: the number of instructions doesn't depend
//! on the contents of the processor's caches.

#![expect(clippy::print_stdout, reason = "its output is printed")]

use std::hint::black_box;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_benches::access::Access;
use sst_benches::contenders::{reader_options, writer_options};
use sst_benches::cpu_features;
use sst_benches::store::{BenchError, Store};
use sst_benches::workload::{Data, Workload};
use sst_format::SstMeta;
use sst_format::filter::FilterPolicy;
use sst_reader::{BlockCache, ReaderOptions, StaticSortedFile};
use sst_writer::StreamingSstWriter;
use sst_writer::table::Compression;

/// Number of lookups in one operation.
const LOOKUPS: usize = 10_000;

/// Number of keys in one `multi_get`.
const GROUP: usize = 1000;

/// Runs `work` through [`counted`], and prints its name and the number of times that it ran.
#[inline(never)]
fn measured<T>(name: &str, times: usize, work: impl FnOnce() -> T) -> T {
    let result = counted(work);
    println!("{name}\t{times}");
    result
}

/// The function that callgrind is told to watch. `--toggle-collect` names `measured`, so counting
/// starts and ends with that function; `--dump-after` names this one, so callgrind writes its
/// counts whenever this function returns. The two are separate because callgrind dumps only after
/// calls that began while it was counting.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn main() -> Result<(), BenchError> {
    println!("features\t{}", cpu_features::detected());
    let dir = tempfile::tempdir()?;
    let shapes = [
        Workload { name: "a", entries: 100_000, key_len: 16, value_len: 8 },
        Workload { name: "b", entries: 30_000, key_len: 16, value_len: 100 },
        Workload { name: "c", entries: 4_000, key_len: 40, value_len: 1000 },
        Workload { name: "d", entries: 300, key_len: 20, value_len: 16 << 10 },
    ];
    for workload in shapes {
        let data = Data::new(workload);
        for (compression, how) in [(Compression::Lz4, "lz4"), (Compression::None, "raw")] {
            let path = dir.path().join(format!("{}-{how}.sst", workload.name));
            let meta = write(&data, &path, compression)?;
            let opened = StaticSortedFile::open(&path, &meta, &reader_options(1 << 30))?;
            reading(&data, &opened, how)?;
            writing(&data, compression, how)?;
            if (workload.name, how) == ("a", "lz4") {
                misses(&data, &opened, "with filter")?;
                let unfiltered = ReaderOptions::default().cache(BlockCache::new(1 << 30));
                let unfiltered = StaticSortedFile::open(&path, &meta, &unfiltered)?;
                misses(&data, &unfiltered, "without filter")?;
                opening(&path, &meta)?;
            }
        }
    }
    filter_build();
    Ok(())
}

fn write(data: &Data, path: &Path, compression: Compression) -> Result<SstMeta, BenchError> {
    let file = std::fs::File::create(path)?;
    let mut writer = StreamingSstWriter::new(file, writer_options(compression));
    data.iter().try_for_each(|row| writer.add(row))?;
    Ok(writer.finish()?.meta)
}

/// Measures hits, `multi_get` and a scan, after a first pass that verifies and caches every block.
fn reading(data: &Data, opened: &StaticSortedFile, how: &str) -> Result<(), BenchError> {
    let name = &data.name;
    Store::get(opened, data.keys())?;
    let keys = data.present(Access::Uniform, LOOKUPS, 1).keys;
    measured(&format!("hit {name}, {how}"), LOOKUPS, || Store::get(opened, &keys))?;
    measured(&format!("multi_get {name}, {how}"), LOOKUPS, || {
        Store::multi_get(opened, &keys, GROUP)
    })?;
    Store::scan(opened)?;
    measured(&format!("scan {name}, {how}"), data.entries(), || Store::scan(opened))?;
    Ok(())
}

fn misses(data: &Data, opened: &StaticSortedFile, how: &str) -> Result<(), BenchError> {
    Store::get(opened, data.keys())?;
    let keys = data.absent(LOOKUPS, 2).keys;
    measured(&format!("miss {how}"), LOOKUPS, || Store::get(opened, &keys))?;
    Ok(())
}

fn opening(path: &Path, meta: &SstMeta) -> Result<(), BenchError> {
    let options = reader_options(1 << 20);
    measured("open", 20, || {
        (0..20).try_for_each(|_| StaticSortedFile::open(path, meta, &options).map(drop))
    })?;
    Ok(())
}

/// Measures writing a table with a filter into memory, on this thread only.
fn writing(data: &Data, compression: Compression, how: &str) -> Result<(), BenchError> {
    let out = Vec::with_capacity(data.byte_len() * 2);
    measured(&format!("write {}, {how}", data.name), data.entries(), || {
        let mut writer = StreamingSstWriter::new(out, writer_options(compression));
        data.iter().try_for_each(|row| writer.add(row))?;
        writer.finish().map(drop)
    })?;
    Ok(())
}

/// Measures building a filter from sorted hashes, without a table.
fn filter_build() {
    let data = Data::new(Workload { name: "filter", entries: 100_000, key_len: 16, value_len: 1 });
    let hashes: Vec<u64> = data.iter().map(|row| row.hash).collect();
    measured("filter build", hashes.len(), || {
        let mut builder = QuotientFilter::default().builder();
        builder.add_hashes(&hashes);
        drop(black_box(builder.finish()));
    });
}
