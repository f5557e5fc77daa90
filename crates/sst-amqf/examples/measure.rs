//! Builds filters, and prints how large, how good and how fast they are.
//!
//! `cargo run --release -p sst-amqf --example measure [keys]`

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use sst_amqf::{QuotientFilter, QuotientFilterView, measure_false_positive_rate};
use sst_format::filter::{Filter, FilterBytes, FilterError, FilterPolicy};
use std::{hint::black_box, time::Instant};

/// Questions of each kind.
const QUESTIONS: u64 = 1_000_000;
/// Each time is the best of so many.
const ROUNDS: u32 = 10;

fn main() -> Result<(), FilterError> {
    let keys = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let mut hashes: Vec<u64> = (0..keys).map(spread).collect();
    hashes.sort_unstable();
    measure("spread hashes", &hashes, |n| spread(n % keys))?;
    measure("clustered hashes, 0 and up", &(0..keys).collect::<Vec<_>>(), |n| spread(n) % keys)
}

fn measure(what: &str, hashes: &[u64], hit: impl Fn(u64) -> u64) -> Result<(), FilterError> {
    let policy = QuotientFilter::default();
    let build = || {
        let mut builder = policy.builder();
        hashes.chunks(1024).for_each(|batch| builder.add_hashes(batch));
        builder.finish()
    };
    let bytes = build()?;
    let filter = policy.open(FilterBytes::new(bytes.clone()))?;
    let info = QuotientFilter::info(&bytes)?;
    let view = QuotientFilterView::parse(&bytes)?;
    let hits: Vec<u64> = (0..QUESTIONS).map(|n| hit(spread(n))).collect();
    let misses: Vec<u64> = (0..QUESTIONS).map(|n| spread(u64::MAX - n)).collect();
    let keys = hashes.len() as u64;

    println!("{what}: {keys} keys");
    println!("  {:>10} bytes, {:.2} bits per key", bytes.len(), info.bits_per_fingerprint());
    println!(
        "  {:>10.3} % false positives measured, {:.3} % expected",
        100.0 * measure_false_positive_rate(&*filter, QUESTIONS),
        100.0 * info.expected_false_positive_rate(),
    );
    let times = [
        ("ns per key to build", best(keys, || build().map_or(0, |bytes| bytes.len()))),
        ("ns per key to check on opening", best(keys, || view.check_structure().is_ok())),
        ("ns per key to validate", best(keys, || view.validate().is_ok())),
        ("ns per question that hits", best(QUESTIONS, || ask(&*filter, &hits))),
        ("ns per question that misses", best(QUESTIONS, || ask(&*filter, &misses))),
    ];
    for (what, nanoseconds) in times {
        println!("  {nanoseconds:>10.2} {what}");
    }
    Ok(())
}

fn ask(filter: &dyn Filter, hashes: &[u64]) -> usize {
    hashes.iter().filter(|&&hash| filter.may_contain(hash)).count()
}

/// The shortest time of some rounds of `work`, in nanoseconds for each of its `items`.
fn best<T>(items: u64, work: impl Fn() -> T) -> f64 {
    let once = || {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_nanos() as f64 / items as f64
    };
    (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// The n-th of a sequence of evenly spread numbers.
fn spread(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
