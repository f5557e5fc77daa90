//! Builds filters, and prints their size and their false-positive rate.
//!
//! `cargo run --release -p sst-amqf --example measure_filter [keys]`

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use sst_amqf::{QuotientFilter, measure_false_positive_rate};
use sst_format::filter::{FilterBytes, FilterError, FilterPolicy};

/// Number of queries that measure the false-positive rate.
const QUERIES: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = std::env::args().nth(1).map_or(Ok(1_000_000), |arg| arg.parse())?;
    let mut hashes: Vec<u64> = (0..keys).map(spread).collect();
    hashes.sort_unstable();
    measure("spread hashes", &hashes)?;
    measure("clustered hashes, 0 and up", &(0..keys).collect::<Vec<_>>())?;
    Ok(())
}

fn measure(what: &str, hashes: &[u64]) -> Result<(), FilterError> {
    let policy = QuotientFilter::default();
    let build = || {
        let mut builder = policy.builder();
        hashes.chunks(1024).for_each(|batch| builder.add_hashes(batch));
        builder.finish()
    };
    let bytes = build()?;
    let filter = policy.open(FilterBytes::new(bytes.clone()))?;
    let info = QuotientFilter::info(&bytes)?;
    let keys = hashes.len() as u64;

    println!("{what}: {keys} keys");
    println!("  {:>10} bytes, {:.2} bits per key", bytes.len(), info.bits_per_fingerprint());
    println!(
        "  {:>10.3} % false positives measured, {:.3} % expected",
        100.0 * measure_false_positive_rate(&*filter, QUERIES),
        100.0 * info.expected_false_positive_rate(),
    );
    Ok(())
}

/// The n-th of a sequence of evenly spread numbers.
fn spread(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
