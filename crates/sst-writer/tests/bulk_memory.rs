//! The memory of a bulk load, compared with the documentation of `BulkLoader`.

mod counting;

use std::error::Error;
use std::sync::atomic::Ordering;
use std::thread;

use sst_writer::bulk::BulkSummary;
use sst_writer::table::Compression;
use sst_writer::{BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriterOptions};

use counting::{HIGHEST, IN_USE};

const MIB: usize = 1 << 20;

/// The input of a load: each stream has `records` records with keys of 16 bytes. Some values have
/// another length.
#[derive(Clone, Copy)]
struct Input {
    streams: u64,
    records: u64,
    value_len: usize,
    /// The length of every 1000th value in bytes.
    long_value_len: usize,
    /// Whether all records have one key, so that one bucket gets them all.
    is_one_key: bool,
}

impl Input {
    fn key(self, stream: u64, record: u64) -> [u8; 16] {
        let number = if self.is_one_key { 0 } else { stream * self.records + record };
        (u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes()
    }

    fn longest(self) -> usize {
        self.value_len.max(self.long_value_len)
    }
}

/// Runs a load. Returns its summary and its highest use of memory.
fn load(input: Input, options: BulkOptions) -> Result<(BulkSummary, usize), Box<dyn Error>> {
    let parent = tempfile::tempdir()?;
    let mut publisher = Publisher::open(parent.path().join("db"), PublisherOptions::default())?;
    let value = vec![7; input.longest()];
    let before = IN_USE.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    let loader = BulkLoader::new(&mut publisher, options, &Monitor::default())?;
    thread::scope(|scope| {
        let (loader, value) = (&loader, &value);
        let put = move |stream| {
            let mut handle = loader.handle(stream);
            for record in 0..input.records {
                let is_long = record % 1000 == 999;
                let len = if is_long { input.long_value_len } else { input.value_len };
                let value = value.get(..len).unwrap_or_default();
                handle.put(input.key(stream, record), value)?;
            }
            handle.finish()
        };
        let threads: Vec<_> =
            (0..input.streams).map(|stream| scope.spawn(move || put(stream))).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.map(|result| result.unwrap_or(Ok(()))).collect::<Result<Vec<()>, _>>()
    })?;
    let summary = loader.finish()?;
    Ok((summary, HIGHEST.load(Ordering::Relaxed) - before))
}

/// Runs a load, and checks its highest use of memory against the documented table, line by line.
fn check(budget: usize, threads: usize, input: Input) -> Result<usize, Box<dyn Error>> {
    // Without compression, which takes most of the time, and memory only in a buffer of each table.
    let writer = WriterOptions::default().compression(Compression::None);
    let options = BulkOptions::default().memory_budget(budget).threads(threads).writer(writer);
    let (summary, used) = load(input, options)?;
    let putting_beyond_six = usize::try_from(input.streams.saturating_sub(6))?;
    let rest = 8 * MIB;
    let tables = 4 * MIB * threads;
    let passing = 4 * input.longest().max(16) * threads.max(usize::try_from(input.streams)?);
    let chunks = putting_beyond_six * budget / 8;
    let documented = budget + rest + tables + passing + chunks;
    assert!(
        used <= documented,
        "{used} of {documented} bytes with a budget of {budget}, {threads} threads, {} streams, {} bytes of records",
        input.streams,
        summary.record_bytes,
    );
    Ok(used)
}

// One test only, because other tests in the same process would be counted too.
#[test]
fn memory_is_the_budget_and_what_the_documentation_says() -> Result<(), Box<dyn Error>> {
    let many = Input {
        streams: 2,
        records: 22_000,
        value_len: 900,
        long_value_len: 900,
        is_one_key: false,
    };
    // The records take more memory than each load may use.
    for (budget, threads) in [(4, 1), (4, 2), (4, 4), (8, 1), (8, 2), (16, 2)] {
        check(budget * MIB, threads, many)?;
    }
    // Records that fit into the budget are not spilled, so the budget is used.
    let all = check(64 * MIB, 1, many)?;
    assert!(all > 36 * MIB, "{all}");
    // More handles than the budget has chunks for.
    check(4 * MIB, 2, Input { streams: 12, records: many.records / 6, ..many })?;
    // One bucket, which no thread can sort in memory.
    check(4 * MIB, 2, Input { is_one_key: true, ..many })?;
    // Values so long that they are stored apart from their records.
    check(4 * MIB, 2, Input { value_len: 100, long_value_len: 3 * MIB, records: 10_000, ..many })?;
    Ok(())
}
