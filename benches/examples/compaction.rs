//! The cost of merging by policy over many increments, beside the optimum.
//!
//! ```sh
//! cargo run --release --package sst-benches --example compaction
//! ```
//!
//! A base and increments of one size are simulated: half of the entries of an increment are new,
//! half replace an entry of the base. The policy is the one of `sst merge --auto`, asked after
//! every increment. The optimum knows beforehand how many increments will come, and is found by
//! dynamic programming over all ways to merge layers that follow each other.
//!
//! Where a run may read only a part of the family, the base consists of several tables, and is
//! merged range by range. There is no optimum for that.

#![expect(clippy::print_stdout, reason = "its output is a table")]
#![expect(clippy::cast_precision_loss, reason = "bytes as figures")]
#![expect(clippy::indexing_slicing, reason = "tables of the dynamic programming")]

use sst_merge::{MergePolicy, TableSize};

/// Bytes of an entry.
const ENTRY: u64 = 24;

/// A base and increments, in entries.
struct Case {
    name: &'static str,
    base: u64,
    increment: u64,
    increments: usize,
    max_layers: usize,
    max_space_percent: u64,
    /// Tables of the base.
    base_tables: u64,
    /// A run reads at most so many bytes.
    max_bytes: u64,
}

/// The cost of merging.
struct Outcome {
    /// Bytes that merges wrote for each byte that was loaded.
    written: f64,
    /// The most layers after the merge.
    layers: usize,
    /// The highest ratio of the bytes of all tables to those of live entries.
    space: f64,
    merges: usize,
    /// The most bytes that a run has read, in bytes of the base.
    longest_run: f64,
}

fn main() {
    let cases = [
        Case {
            name: "(i) 10^7 entries, 1,000 × 10,000",
            base: 10_000_000,
            increment: 10_000,
            increments: 1_000,
            max_layers: 8,
            max_space_percent: 130,
            base_tables: 1,
            max_bytes: u64::MAX,
        },
        Case {
            name: "the same, a run reads a quarter of the base",
            base: 10_000_000,
            increment: 10_000,
            increments: 1_000,
            max_layers: 8,
            max_space_percent: 130,
            base_tables: 32,
            max_bytes: 10_000_000 / 4 * ENTRY,
        },
        Case {
            name: "10^9 entries, 10,000 × 10,000",
            base: 1_000_000_000,
            increment: 10_000,
            increments: 10_000,
            max_layers: 12,
            max_space_percent: 130,
            base_tables: 1,
            max_bytes: u64::MAX,
        },
    ];
    println!(
        "| case | layers | written / loaded | optimum | ratio | space | merges | longest run |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases {
        let Outcome { written, layers, space, merges, longest_run } = simulate(&case);
        let (optimum, ratio) = match case.max_bytes {
            u64::MAX => {
                let optimum = optimum(&case);
                (format!("{optimum:.2}"), format!("{:.2}", written / optimum))
            }
            _ => ("–".to_owned(), "–".to_owned()),
        };
        println!(
            "| {} | {layers} | {written:.2} | {optimum} | {ratio} | {space:.2} | {merges} | {longest_run:.2} |",
            case.name,
        );
    }
}

/// A table: its size, and the bytes of its entries that replace entries of the base.
#[derive(Clone, Copy)]
struct Table {
    size: TableSize,
    replacing: u64,
    /// Whether it holds all of the base in its range.
    is_base: bool,
}

impl Table {
    /// Its part with hashes from `start` to `end`.
    fn part(&self, start: u64, end: u64) -> Option<Self> {
        let size = self.size;
        let (min_hash, max_hash) = (size.min_hash.max(start), size.max_hash.min(end));
        let part = max_hash.checked_sub(min_hash)? as f64 + 1.0;
        let share = part / ((size.max_hash - size.min_hash) as f64 + 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part")]
        let of = |bytes: u64| (bytes as f64 * share).round() as u64;
        let size = TableSize { bytes: of(size.bytes), min_hash, max_hash };
        Some(Self { size, replacing: of(self.replacing), ..*self })
    }
}

/// The merge of tables. Entries of the base that are replaced go, if it takes part.
fn merged(tables: Vec<Table>) -> Option<Table> {
    let is_base = tables.iter().any(|table| table.is_base);
    let sum = tables.into_iter().reduce(|a, b| Table {
        size: TableSize {
            bytes: a.size.bytes + b.size.bytes,
            min_hash: a.size.min_hash.min(b.size.min_hash),
            max_hash: a.size.max_hash.max(b.size.max_hash),
        },
        replacing: a.replacing + b.replacing,
        is_base,
    })?;
    if !is_base {
        return Some(sum);
    }
    let size = TableSize { bytes: sum.size.bytes - sum.replacing, ..sum.size };
    Some(Table { size, replacing: 0, is_base })
}

/// How many tables lie on each other at most.
fn depth(tables: &[Table]) -> usize {
    let at = |hash| {
        let has = |table: &&Table| (table.size.min_hash..=table.size.max_hash).contains(&hash);
        tables.iter().filter(has).count()
    };
    tables.iter().map(|table| at(table.size.min_hash)).max().unwrap_or(0)
}

fn simulate(case: &Case) -> Outcome {
    let mut policy = MergePolicy::default().max_layers(case.max_layers).max_bytes(case.max_bytes);
    policy.max_space_percent = case.max_space_percent;
    let increment = case.increment * ENTRY;
    let table = |bytes, replacing| {
        let size = TableSize { bytes, min_hash: 0, max_hash: u64::MAX };
        Table { size, replacing, is_base: replacing == 0 }
    };
    // Zero for one table, which is handled apart.
    let width = (u64::MAX / case.base_tables).wrapping_add(1);
    let mut tables: Vec<Table> = (0..case.base_tables)
        .filter_map(|i| {
            let start = i.wrapping_mul(width);
            let end = if case.base_tables == 1 { u64::MAX } else { start + (width - 1) };
            table(case.base * ENTRY, 0).part(start, end)
        })
        .collect();
    let mut live = case.base * ENTRY;
    let mut outcome = Outcome { written: 0.0, layers: 0, space: 0.0, merges: 0, longest_run: 0.0 };
    let mut written = 0;
    for _ in 0..case.increments {
        tables.push(table(increment, increment / 2));
        live += increment / 2;
        let mut read = 0;
        loop {
            let sizes: Vec<_> = tables.iter().map(|table| table.size).collect();
            let Some(plan) = policy.choose_within(&sizes, case.max_bytes - read) else { break };
            read += plan.bytes;
            let places = 0..tables.len();
            let (chosen, stay): (Vec<_>, Vec<_>) =
                places.zip(tables).partition(|(place, _)| plan.tables.contains(place));
            tables = stay.into_iter().map(|(_, table)| table).collect();
            let starts = std::iter::once(0).chain(plan.cuts.iter().copied());
            let ends = plan.cuts.iter().map(|cut| cut - 1).chain([u64::MAX]);
            for (start, end) in starts.zip(ends) {
                let parts = chosen.iter().filter_map(|(_, table)| table.part(start, end));
                if let Some(table) = merged(parts.collect()) {
                    written += table.size.bytes;
                    tables.push(table);
                }
            }
            outcome.merges += 1;
        }
        outcome.longest_run = outcome.longest_run.max(read as f64 / (case.base * ENTRY) as f64);
        outcome.layers = outcome.layers.max(depth(&tables));
        let bytes: u64 = tables.iter().map(|table| table.size.bytes).sum();
        outcome.space = outcome.space.max(bytes as f64 / live as f64);
    }
    outcome.written = written as f64 / (increment * case.increments as u64) as f64;
    outcome
}

/// The lowest bytes that merges must write for each byte that is loaded: with the base as one of
/// the layers, which is merged once or never, as space demands.
fn optimum(case: &Case) -> f64 {
    let count = case.increments;
    let on_top = stacked(count, case.max_layers - 1);
    let base = case.base as f64 / case.increment as f64;
    let max_space = case.max_space_percent as f64 / 100.0;
    let fits = |base: f64, newer: usize| {
        let newer = newer as f64;
        base + newer <= max_space * (base + newer / 2.0)
    };
    let never = if fits(base, count) { on_top[count] } else { f64::INFINITY };
    let once = (1..=count).filter(|&at| fits(base, at - 1)).map(|at| {
        let merged = base + at as f64 / 2.0;
        if fits(merged, count - at) {
            on_top[at - 1] + merged + on_top[count - at]
        } else {
            f64::INFINITY
        }
    });
    once.fold(never, f64::min) / count as f64
}

/// The lowest cost of merges after 0, 1, 2 … increments of size 1, with at most `places` layers
/// after each of them.
fn stacked(count: usize, places: usize) -> Vec<f64> {
    // Without a place only nothing can be stacked.
    let mut above = vec![f64::INFINITY; count + 1];
    above[0] = 0.0;
    for _ in 0..places {
        // So that all increments are in one layer. The last increment is merged as it comes: with
        // the layer of the first `earlier` ones, and with those between, which were stacked on it.
        let mut one = vec![f64::INFINITY; count + 1];
        one[1] = 0.0;
        for all in 2..=count {
            let cheapest = (1..all).map(|earlier| one[earlier] + above[all - earlier - 1]);
            one[all] = cheapest.fold(f64::INFINITY, f64::min) + all as f64;
        }
        let stack = |all: usize| {
            let cheapest = (1..=all).map(|first| one[first] + above[all - first]);
            cheapest.fold(f64::INFINITY, f64::min)
        };
        above = std::iter::once(0.0).chain((1..=count).map(stack)).collect();
    }
    above
}
