//! The fixed operations whose instructions `cargo xtask instructions` counts.
//!
//! Run under callgrind, only what happens inside [`counted`] enters a count. Each operation prints its name and how many
//! times it was done, in the order of the calls, so that whoever counts knows which count is whose. Data is small:
//! instructions don't depend on what the processor's caches hold.

#![expect(
    clippy::print_stdout,
    reason = "what runs this reads the names of operations from standard output"
)]

use std::error::Error;
use std::hint::black_box;

use sst_amqf::QuotientFilter;
use sst_benches::workload::{Data, Workload};
use sst_benches::{cpu_features, table};
use sst_format::filter::FilterPolicy;
use sst_reader::{BlockCache, ReaderOptions, StaticSortedFile};
use sst_writer::{Compression, StreamingSstWriter, WriterOptions};

/// Lookups in one operation.
const LOOKUPS: usize = 10_000;

/// Does `work` and says so. Counting starts and ends with this function: `--toggle-collect` names it.
#[inline(never)]
fn measured<T>(name: &str, times: usize, work: impl FnOnce() -> T) -> T {
    let result = counted(work);
    println!("{name}\t{times}");
    result
}

/// What is counted is written down whenever this function returns: `--dump-after` names it. It is a function of its
/// own because callgrind writes down only calls that began while it was counting.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn main() -> Result<(), Box<dyn Error>> {
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
            let meta = table::write(&data, &path, compression)?;
            let opened = table::open(&path, &meta, 1 << 30)?;
            operations(&data, &opened, how)?;
            writing(&data, compression, how)?;
            if (workload.name, how) == ("a", "lz4") {
                let unfiltered = StaticSortedFile::open(
                    &path,
                    &meta,
                    &ReaderOptions::default().cache(BlockCache::new(1 << 30)),
                )?;
                misses(&data, &unfiltered, "without filter")?;
                misses(&data, &opened, "with filter")?;
                measured("open", 20, || {
                    (0..20).try_for_each(|_| table::open(&path, &meta, 1 << 20).map(drop))
                })?;
            }
        }
    }
    filter_build();
    Ok(())
}

/// Hits and a scan, after a first pass that verifies and caches every block.
fn operations(data: &Data, opened: &StaticSortedFile, how: &str) -> Result<(), Box<dyn Error>> {
    let Workload { name, entries, key_len, .. } = data.workload;
    table::get_present(opened, data.keys(), key_len)?;
    let keys = data.access(LOOKUPS, 1);
    measured(&format!("hit {name}, {how}"), LOOKUPS, || {
        table::get_present(opened, &keys, key_len)
    })?;
    table::scan(opened)?;
    measured(&format!("scan {name}, {how}"), entries, || table::scan(opened))?;
    Ok(())
}

fn misses(data: &Data, opened: &StaticSortedFile, how: &str) -> Result<(), Box<dyn Error>> {
    let key_len = data.workload.key_len;
    table::get_absent(opened, data.keys(), key_len)?;
    let keys = data.absent(LOOKUPS, 2);
    measured(&format!("miss {how}"), LOOKUPS, || table::get_absent(opened, &keys, key_len))?;
    Ok(())
}

/// Writing with a filter into memory, on this thread alone.
fn writing(data: &Data, compression: Compression, how: &str) -> Result<(), Box<dyn Error>> {
    let Workload { name, entries, .. } = data.workload;
    let out = Vec::with_capacity(data.len() * 2);
    let options =
        WriterOptions::default().filter(QuotientFilter::default()).compression(compression);
    measured(&format!("write {name}, {how}"), entries, || {
        let mut writer = StreamingSstWriter::new(out, options);
        data.iter().try_for_each(|row| writer.add(row))?;
        writer.finish().map(drop)
    })?;
    Ok(())
}

/// A filter from sorted hashes, without a table around it.
fn filter_build() {
    let data = Data::new(Workload { name: "filter", entries: 100_000, key_len: 16, value_len: 1 });
    let hashes: Vec<u64> = data.iter().map(|row| row.hash).collect();
    measured("filter build", hashes.len(), || {
        let mut builder = QuotientFilter::default().builder();
        builder.add_hashes(&hashes);
        drop(black_box(builder.finish()));
    });
}
