//! Measures our tables against the physical floor: what `cargo xtask bench` runs.

#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use clap::Parser;
use serde::Serialize;
use sst_benches::floor::DependentReads;
use sst_benches::workload::{Data, WORKLOADS, Workload};
use sst_benches::{Figure, table};
use sst_reader::StaticSortedFile;
use sst_writer::Compression;

/// Measures writing, opening, lookups and scans, next to the time of one cache miss.
#[derive(Parser)]
struct Arguments {
    /// Workloads to run: a, b, c, d, e.
    #[arg(long, default_value = "a,b,c,d", value_delimiter = ',')]
    workload: Vec<String>,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What came out for one workload and one way to store it. Times are processor time but for two threads.
#[derive(Serialize)]
struct Outcome {
    workload: String,
    compression: String,
    entries: usize,
    key_len: usize,
    value_len: usize,
    file_bytes: u64,
    filter_bytes: usize,
    write_ns_per_entry: f64,
    open_us: f64,
    floor_ns: f64,
    hit_ns: f64,
    hit_per_floor: f64,
    miss_ns: f64,
    scan_ns_per_entry: f64,
    scan_mb_per_s: f64,
    hits_per_s_1_thread: f64,
    hits_per_s_2_threads: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut outcomes = Vec::new();
    for workload in WORKLOADS.iter().filter(|w| arguments.workload.iter().any(|n| n == w.name)) {
        let data = Data::new(*workload);
        for compression in [Compression::Lz4, Compression::None] {
            outcomes.push(measure(&data, compression, arguments.rounds)?);
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    } else {
        print(&outcomes);
    }
    Ok(())
}

/// Lookups of one round.
const LOOKUPS: usize = 300_000;

fn measure(
    data: &Data,
    compression: Compression,
    rounds: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let Workload { name, entries, key_len, value_len } = data.workload;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("table.sst");
    let meta = table::write(data, &path, compression)?;
    // Room for every block, decompressed.
    let cache = (data.len() as u64 + entries as u64 * 32) * 2;
    let opened = table::open(&path, &meta, cache)?;
    let floor_reads = DependentReads::new(usize::try_from(meta.file_size)?);
    let [mut floor, mut hit, mut miss, mut scan, mut write, mut open]: [Figure; 6] =
        Default::default();
    let mut rates = (Figure::default(), Figure::default());
    black_box(table::scan(&opened)?);
    // All blocks are verified and cached before anything is measured.
    black_box(table::get_present(&opened, data.keys(), key_len)?);
    for round in 0..rounds as u64 {
        let access = data.access(LOOKUPS, round);
        let absent = data.absent(LOOKUPS, round);
        floor.sample(LOOKUPS, || floor_reads.run(LOOKUPS));
        black_box(hit.sample(LOOKUPS, || table::get_present(&opened, &access, key_len))?);
        black_box(miss.sample(LOOKUPS, || table::get_absent(&opened, &absent, key_len))?);
        black_box(scan.sample(entries, || table::scan(&opened))?);
        let other = dir.path().join(format!("{round}.sst"));
        write.sample(entries, || table::write(data, &other, compression))?;
        std::fs::remove_file(other)?;
        open.sample(1, || table::open(&path, &meta, cache))?;
        let others = data.access(LOOKUPS, round + 1000);
        rates.0.push(rate(&opened, key_len, &[&access])?);
        rates.1.push(rate(&opened, key_len, &[&access, &others])?);
    }
    Ok(Outcome {
        workload: name.to_owned(),
        compression: format!("{compression:?}").to_lowercase(),
        entries,
        key_len,
        value_len,
        file_bytes: file_len(&path)?,
        filter_bytes: meta.filter.as_slice().len(),
        write_ns_per_entry: write.median(),
        open_us: open.median(),
        floor_ns: floor.median(),
        hit_ns: hit.median(),
        hit_per_floor: hit.median() / floor.median(),
        miss_ns: miss.median(),
        scan_ns_per_entry: scan.median(),
        scan_mb_per_s: mb_per_s(data, &scan),
        hits_per_s_1_thread: rates.0.median(),
        hits_per_s_2_threads: rates.1.median(),
    })
}

fn file_len(path: &Path) -> Result<u64, Box<dyn Error>> {
    Ok(std::fs::metadata(path)?.len())
}

#[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
fn mb_per_s(data: &Data, scan: &Figure) -> f64 {
    data.len() as f64 / data.workload.entries as f64 / scan.median() * 1000.0
}

/// Lookups per second of wall time, one thread for each list of keys.
#[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
fn rate(
    table: &StaticSortedFile,
    key_len: usize,
    accesses: &[&[u8]],
) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let all_found = std::thread::scope(|scope| {
        let threads: Vec<_> = accesses
            .iter()
            .map(|keys| scope.spawn(|| table::get_present(table, keys, key_len).is_ok()))
            .collect();
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    if !all_found {
        return Err("a lookup failed".into());
    }
    let lookups = accesses.iter().map(|keys| keys.len() / key_len).sum::<usize>();
    Ok(lookups as f64 / start.elapsed().as_secs_f64())
}

fn print(outcomes: &[Outcome]) {
    println!(
        "processor time, medians; floor: one dependent random read in as many bytes as the file has"
    );
    println!(
        "{:3} {:5} {:>10} {:>7} {:>7} {:>7} {:>7} {:>6} {:>7} {:>9} {:>8} {:>10} {:>10}",
        "",
        "",
        "file MB",
        "write",
        "open µs",
        "floor",
        "hit",
        "ratio",
        "miss",
        "scan ns",
        "MB/s",
        "hits/s 1",
        "hits/s 2"
    );
    for o in outcomes {
        println!(
            "({}) {:5} {:>10.2} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>6.2} {:>7.1} {:>9.1} {:>8.0} {:>10.0} {:>10.0}",
            o.workload,
            o.compression,
            megabytes(o.file_bytes),
            o.write_ns_per_entry,
            o.open_us / 1000.0,
            o.floor_ns,
            o.hit_ns,
            o.hit_per_floor,
            o.miss_ns,
            o.scan_ns_per_entry,
            o.scan_mb_per_s,
            o.hits_per_s_1_thread,
            o.hits_per_s_2_threads
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
