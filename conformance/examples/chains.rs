//! Judges what is live on many random chains of meta files: the function, the reader, the writer,
//! merges and the gatherer in Rust, and the second decoder in Python.
//!
//! ```text
//! cargo run --release -p sst-conformance --example chains -- \
//!     [RULE [DIRECTORIES [DECODER [FIRST]]]]
//! ```
//!
//! Numbers of chains: for the function (default 1,000,000), for the other parties in Rust (default
//! 100,000, each with and without protection) and for the decoder (default 10,000, likewise). FIRST
//! is the first seed (default 0). The same seed gives the same chain.

#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use sst_conformance::{Row, chains, second_decoder};

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let Ok(numbers) = numbers else {
        println!("usage: chains [RULE [DIRECTORIES [DECODER [FIRST]]]], all numbers");
        return ExitCode::from(3);
    };
    let number = |place: usize, default| numbers.get(place).copied().unwrap_or(default);
    let first = number(3, 0);
    let seeds = |count| first..first + count;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let checks: [&dyn Fn() -> Vec<Row>; 3] = [
        &|| on_all_cores(seeds(number(0, 1_000_000)), |seeds| vec![chains::check_function(seeds)]),
        &|| on_all_cores(seeds(number(1, 100_000)), chains::check_directories),
        &|| {
            on_all_cores(seeds(number(2, 10_000)), |seeds| {
                vec![second_decoder::check_chains(&root, seeds)]
            })
        },
    ];
    let mut is_ok = true;
    for check in checks {
        for row in check() {
            is_ok &= row.is_ok() || row.cases == 0;
            let skipped = row.skipped.map_or_else(String::new, |why| format!(", NOT RUN: {why}"));
            println!("{}: {} cases, {} failed{skipped}", row.check, row.cases, row.failures.len());
            row.failures.iter().take(10).for_each(|failure| println!("  {failure}"));
        }
    }
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shares seeds out among threads, and adds their rows up.
fn on_all_cores(seeds: Range<u64>, check: impl Fn(Range<u64>) -> Vec<Row> + Sync) -> Vec<Row> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let share = (seeds.end - seeds.start).div_ceil(threads);
    let parts: Vec<Vec<Row>> = thread::scope(|scope| {
        let check = &check;
        let part = |thread| {
            let start = seeds.end.min(seeds.start + thread * share);
            let part = start..seeds.end.min(start + share);
            scope.spawn(move || check(part))
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        let failed = |_| {
            let mut row = Row::new("a thread");
            row.failures.push("panicked".to_owned());
            vec![row]
        };
        parts.into_iter().map(|part| part.join().unwrap_or_else(failed)).collect()
    });
    let mut rows: Vec<Row> = Vec::new();
    for row in parts.into_iter().flatten() {
        match rows.iter_mut().find(|known| known.check == row.check) {
            Some(known) => {
                known.cases += row.cases;
                known.failures.extend(row.failures);
            }
            None => rows.push(row),
        }
    }
    rows
}
