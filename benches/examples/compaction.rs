//! What merging by policy costs over many increments, beside the optimum.
//!
//! ```sh
//! cargo run --release --package sst-benches --example compaction
//! ```
//!
//! A base and increments of one size are simulated: half of the entries of an increment are new,
//! half replace an entry of the base. The policy is the one of `sst merge --auto`, asked after
//! every increment. The optimum knows beforehand how many increments will come, and is found by
//! dynamic programming over all ways to merge layers that follow each other.

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
}

/// What merging cost.
struct Outcome {
    /// Bytes that merges wrote for each byte that was loaded.
    written: f64,
    /// The most layers after the merge.
    layers: usize,
    /// The highest ratio of the bytes of all tables to those of live entries.
    space: f64,
    merges: usize,
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
        },
        Case {
            name: "10^9 entries, 10,000 × 10,000",
            base: 1_000_000_000,
            increment: 10_000,
            increments: 10_000,
            max_layers: 12,
            max_space_percent: 130,
        },
    ];
    println!("| case | layers | written / loaded | optimum | ratio | space | merges |");
    println!("|---|---|---|---|---|---|---|");
    for case in cases {
        let Outcome { written, layers, space, merges } = simulate(&case);
        let optimum = optimum(&case);
        println!(
            "| {} | {layers} | {written:.2} | {optimum:.2} | {:.2} | {space:.2} | {merges} |",
            case.name,
            written / optimum,
        );
    }
}

/// A layer: all its bytes, and those that replace entries of the base.
#[derive(Clone, Copy)]
struct Layer {
    bytes: u64,
    replacing: u64,
}

fn simulate(case: &Case) -> Outcome {
    let mut policy = MergePolicy::default().max_layers(case.max_layers);
    policy.max_space_percent = case.max_space_percent;
    let increment = case.increment * ENTRY;
    let mut layers = vec![Layer { bytes: case.base * ENTRY, replacing: 0 }];
    let mut live = case.base * ENTRY;
    let mut outcome = Outcome { written: 0.0, layers: 0, space: 0.0, merges: 0 };
    let mut written = 0;
    for _ in 0..case.increments {
        layers.push(Layer { bytes: increment, replacing: increment / 2 });
        live += increment / 2;
        loop {
            let size =
                |layer: &Layer| TableSize { bytes: layer.bytes, min_hash: 0, max_hash: u64::MAX };
            let tables: Vec<_> = layers.iter().map(size).collect();
            let Some(plan) = policy.choose(&tables) else { break };
            let merged = layers.split_off(layers.len() - plan.tables);
            let mut layer = Layer {
                bytes: merged.iter().map(|layer| layer.bytes).sum(),
                replacing: merged.iter().map(|layer| layer.replacing).sum(),
            };
            if layers.is_empty() {
                layer = Layer { bytes: layer.bytes - layer.replacing, replacing: 0 };
            }
            written += layer.bytes;
            layers.push(layer);
            outcome.merges += 1;
        }
        outcome.layers = outcome.layers.max(layers.len());
        let bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
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
