//! The tables of a report, independent of the output format.

use crate::run::{Outcome, Run, WorkloadOutcome};

/// A table, with all cells already formatted as text.
pub(crate) struct Table {
    pub(crate) title: String,
    /// The explanation of the table.
    pub(crate) note: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The text of a figure that does not apply.
pub(crate) const NOT_APPLICABLE: &str = "–";

/// Returns one table for the floor, and two or three tables for each workload.
pub(super) fn all(run: &Run) -> Vec<Table> {
    let mut tables = vec![floor(run)];
    for workload in &run.workloads {
        tables.push(lookups(workload));
        tables.extend(small_cache(workload));
        tables.push(building(workload));
    }
    tables
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Formats a figure with about three significant digits.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => NOT_APPLICABLE.to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: Option<u64>) -> String {
    number(bytes.map(|bytes| bytes as f64 / 1e6))
}

fn floor(run: &Run) -> Table {
    let rows = run.workloads.iter().map(|workload| {
        let floor = &workload.floor;
        vec![
            format!("({})", workload.name),
            workload.about.clone(),
            number(Some(floor.read_ns)),
            number(floor.hash_ns),
            number(floor.copy_gb_s),
            number(floor.checksum_gb_s),
            number(floor.compress_gb_s),
            number(floor.decompress_gb_s),
            number(floor.write_gb_s),
            number(floor.build_ns),
            number(floor.build_raw_ns),
        ]
    });
    Table {
        title: "The floor".to_owned(),
        note: "Minimum times of the machine. \"read\": one dependent random read in a buffer as long as all entries, in ns. \
               \"hash\": XXH3 of a key, ns. Rates in GB/s over the blocks that the table has: memcpy, CRC-32, LZ4 both ways \
               (uncompressed bytes), plain write without fsync. \"build\": copy + LZ4 of every block + checksums + filter + plain \
               write of the same bytes, ns per entry; \"raw\": without LZ4."
            .to_owned(),
        head: strings([
            "", "workload", "read", "hash", "copy", "CRC-32", "LZ4", "LZ4 back", "write", "build", "build raw",
        ]),
        rows: rows.collect(),
    }
}

fn lookups(workload: &WorkloadOutcome) -> Table {
    let row = |outcome: &Outcome| {
        let floors = outcome.hit_ns.map(|hit| hit / workload.floor.read_ns);
        vec![
            outcome.name.clone(),
            outcome.failure.clone().unwrap_or_else(|| number(outcome.hit_ns)),
            number(floors),
            number(outcome.hit_zipf_ns),
            number(outcome.miss_ns),
            number(outcome.multi_get_ns),
            number(outcome.scan_ns),
            number(scan_rate(workload, outcome)),
            number(outcome.two_threads_hit),
            number(outcome.two_threads_miss),
            number(outcome.small_cache_hit_ns),
            number(outcome.small_cache_hit_zipf_ns),
        ]
    };
    Table {
        title: format!("({}) {}: lookups", workload.name, workload.about),
        note: format!(
            "Nanoseconds of processor time per operation on one thread, warm, everything cached. \"floors\": hit divided by one \
             dependent random read ({} ns). \"two threads\": lookups per second of wall-clock time as a multiple of one thread's. \"small \
             cache\": a block cache of {} MB, a tenth of the entries.",
            number(Some(workload.floor.read_ns)),
            megabytes(Some(workload.small_cache)),
        ),
        head: strings([
            "store",
            "hit",
            "floors",
            "hit, Zipf",
            "miss",
            "multi_get",
            "scan",
            "scan GB/s",
            "two threads, hit",
            "two threads, miss",
            "small cache",
            "small cache, Zipf",
        ]),
        rows: workload.outcomes.iter().map(row).collect(),
    }
}

/// Returns the parts of the time of a hit with the small cache, for stores that count the blocks
/// they load.
fn small_cache(workload: &WorkloadOutcome) -> Option<Table> {
    let rows: Vec<_> =
        workload.outcomes.iter().filter_map(|outcome| shares(workload, outcome)).collect();
    (!rows.is_empty()).then(|| Table {
        title: format!("({}) {}: a hit with the small cache", workload.name, workload.about),
        note: "Uniform keys. \"search\": what a hit takes with everything cached; the rest is loading blocks: verifying, \
               decompressing, and making room in the cache. \"LZ4 alone\": decompressing all blocks of the table one after the other, \
               measured apart, where the rate depends on how buffers happen to lie (1.1 or 2 GB/s for (b))."
            .to_owned(),
        head: strings([
            "store",
            "ns",
            "search",
            "loading blocks",
            "blocks loaded per hit",
            "ns per block loaded",
            "LZ4 alone, ns per block",
        ]),
        rows,
    })
}

/// Returns the row of one store in the table of the small cache.
fn shares(workload: &WorkloadOutcome, outcome: &Outcome) -> Option<Vec<String>> {
    let (total, loads) = (outcome.small_cache_hit_ns?, outcome.small_cache_loads?);
    if loads == 0.0 {
        return None;
    }
    let search = outcome.hit_ns?.min(total);
    let percent = |part: f64| format!("{:.0} %", part / total * 100.0);
    Some(vec![
        outcome.name.clone(),
        number(Some(total)),
        percent(search),
        percent(total - search),
        number(Some(loads)),
        number(Some((total - search) / loads)),
        number(workload.floor.decompress_block_ns),
    ])
}

/// Returns the gigabytes of keys and values that a scan reads per second.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn scan_rate(workload: &WorkloadOutcome, outcome: &Outcome) -> Option<f64> {
    outcome.scan_ns.map(|scan| workload.bytes as f64 / workload.entries as f64 / scan)
}

fn building(workload: &WorkloadOutcome) -> Table {
    let row = |outcome: &Outcome| {
        vec![
            outcome.name.clone(),
            number(outcome.build_ns),
            number(outcome.build_ns.map(|build| 1000.0 / build)),
            megabytes(outcome.disk_bytes),
            number(outcome.open_us),
            megabytes(outcome.build_memory),
            megabytes(outcome.read_memory),
            outcome.setup.clone(),
        ]
    };
    Table {
        title: format!("({}) {}: building, opening, memory", workload.name, workload.about),
        note: "\"build\": nanoseconds of processor time of all threads per entry, from sorted memory to closed files, without fsync \
               unless said otherwise. \"memory\": building at most; and open, after looking every key up with the small cache, mapped files not \
               counted."
            .to_owned(),
        head: strings([
            "store",
            "build ns",
            "M entries/s",
            "disk MB",
            "open µs",
            "memory building MB",
            "memory open MB",
            "set up as",
        ]),
        rows: workload.outcomes.iter().map(row).collect(),
    }
}
