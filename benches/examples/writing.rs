//! What writing costs, next to what the same bytes must cost at least:
//! `cargo run --release -p sst-benches --example writing -- --workload a,b,c,d`.
//!
//! Each round writes the entries of a workload to a new file, without fsync, and runs every part of
//! the floor on the very bytes of that file. All times are processor time of the whole process, so
//! a worker's time counts as well.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use clap::Parser;
use cpu_time::ProcessTime;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use sst_amqf::QuotientFilter;
use sst_benches::Figure;
use sst_benches::workload::{Data, WORKLOADS};
use sst_format::filter::FilterPolicy;
use sst_writer::{Compression, StreamingSstWriter, WriterOptions};

/// Measures writing against its floor.
#[derive(Parser)]
struct Arguments {
    /// Workloads to run: a, b, c, d, e.
    #[arg(long, default_value = "a,b,c,d", value_delimiter = ',')]
    workload: Vec<String>,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only the writer, without the floor.
    #[arg(long)]
    bare: bool,
    /// Directory for the files. Default: a temporary one.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let dir = tempfile::tempdir()?;
    let dir = arguments.directory.as_deref().unwrap_or(dir.path());
    for workload in WORKLOADS.iter().filter(|w| arguments.workload.iter().any(|n| n == w.name)) {
        let data = Data::new(*workload);
        let mut ours = Figure::default();
        let mut wall = Figure::default();
        let mut floor: [Figure; 5] = Default::default();
        let path = dir.join("writing.sst");
        for _ in 0..arguments.rounds {
            let start = Instant::now();
            sample(&mut ours, workload.entries, || write(&data, &path))?;
            wall.push(start.elapsed().as_nanos() as f64 / workload.entries as f64);
            if !arguments.bare {
                floor_of(&data, workload.value_len, &path, &mut floor)?;
            }
            std::fs::remove_file(&path)?;
        }
        let parts = floor.each_ref().map(|part| part.median().unwrap_or(0.0));
        let sum: f64 = parts.iter().sum();
        let [compress, checksum, filter, copy, plain] = parts;
        let ns = ours.median().unwrap_or(0.0);
        println!(
            "({}) {:9.1} ns/entry cpu, {:9.1} wall, {:8.3} M entries/s | floor {sum:9.1} = compress {compress:.1} + checksum {checksum:.1} + filter {filter:.1} + copy {copy:.1} + write {plain:.1} | floor / ours {:.2}",
            workload.name,
            ns,
            wall.median().unwrap_or(0.0),
            1e3 / ns,
            sum / ns
        );
    }
    Ok(())
}

fn sample<T>(figure: &mut Figure, operations: usize, work: impl FnOnce() -> T) -> T {
    let start = ProcessTime::now();
    let result = work();
    figure.push(start.elapsed().as_nanos() as f64 / operations as f64);
    result
}

fn write(data: &Data, path: &Path) -> Result<(), Box<dyn Error>> {
    let options =
        WriterOptions::default().filter(QuotientFilter::default()).compression(Compression::Lz4);
    let mut writer = StreamingSstWriter::new(File::create(path)?, options);
    for row in data.iter() {
        writer.add(row)?;
    }
    drop(black_box(writer.finish()?));
    Ok(())
}

/// The parts of the floor: compress, checksum, filter inserts, one copy, plain write.
fn floor_of(
    data: &Data,
    value_len: usize,
    path: &Path,
    figures: &mut [Figure; 5],
) -> Result<(), Box<dyn Error>> {
    let entries = data.entries();
    let file = std::fs::read(path)?;
    let [compress, checksum, filter, copy, plain] = figures;
    let mut table = CompressTable::large();
    let values: Vec<u8> = data.iter().flat_map(|row| row.value).copied().collect();
    let mut room = vec![0; get_maximum_output_size((8 << 10) + value_len)];
    if value_len > 8 {
        sample(compress, entries, || {
            for block in values.chunks(value_len * (8192_usize.div_ceil(value_len))) {
                _ = black_box(compress_into_with_table(block, &mut room, &mut table));
            }
        });
    } else {
        compress.push(0.0);
    }
    sample(checksum, entries, || {
        file.chunks(8 << 10).for_each(|block| _ = black_box(crc32fast::hash(block)));
    });
    let hashes: Vec<u64> = data.iter().map(|row| row.hash).collect();
    sample(filter, entries, || {
        let mut builder = QuotientFilter::default().builder();
        hashes.chunks(512).for_each(|hashes| builder.add_hashes(hashes));
        builder.finish().map(|bytes| black_box(bytes.len()))
    })?;
    let mut target = vec![0; 256 << 10];
    sample(copy, entries, || {
        for piece in values.chunks(256 << 10).chain(data.keys().as_bytes().chunks(256 << 10)) {
            if let Some(target) = target.get_mut(..piece.len()) {
                target.copy_from_slice(piece);
                black_box(&target);
            }
        }
    });
    let other = path.with_extension("plain");
    sample(plain, entries, || -> std::io::Result<()> {
        let mut output = File::create(&other)?;
        file.chunks(256 << 10).try_for_each(|piece| output.write_all(piece))
    })?;
    std::fs::remove_file(other)?;
    Ok(())
}
