//! Compares the speed of our filter builder with that of `qfilter`, on the same hashes.
//!
//! `cargo run --release -p sst-amqf --example beside_qfilter [rounds]`
//!
//! docs/DECISIONS.md decides by these figures which builder ships. Both builders make the same
//! bytes, and collect and sort alike; they differ in how the sorted fingerprints become blocks. All
//! ratios are medians over rounds in which the two take turns.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it prints what it measures, and a panic ends it"
)]

use qfilter::{Builder, Filter};
use sst_amqf::QuotientFilter;
use sst_format::filter::{self, FilterBuilder, FilterBytes, FilterError, FilterPolicy};
use sst_writer::table::hash_key;
use sst_writer::{StreamingSstWriter, WriterOptions};
use std::{error::Error, hint::black_box, time::Instant};

/// Remainder bits of the default policy.
const REMAINDER_BITS: u8 = 7;
/// Number of fingerprints of the largest filter.
const MOST: u64 = 1_000_000;
/// In seconds. The measurement of a shape ends once one filter took longer.
const PATIENCE: f64 = 5.0;
/// Clustered fingerprints all have quotients in one part of so many equal parts.
const CLUSTER: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(9), |arg| arg.parse())?;
    write_tables(rounds)?;
    for (name, first) in [
        ("spread over all quotients", None),
        ("in the first eighth of the quotients", Some(0)),
        ("in the last eighth, so that they wrap around", Some(CLUSTER - 1)),
    ] {
        build_filters(name, first, rounds)?;
    }
    Ok(())
}

/// Writes workload (a), 10^6 entries of 16 + 8 bytes, with the two policies in turn.
fn write_tables(rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut keys: Vec<[u8; 16]> = (0..MOST)
        .map(|n| (u128::from(spread(n)) << 64 | u128::from(spread(!n))).to_be_bytes())
        .collect();
    keys.sort_by_cached_key(|key| (hash_key(key), *key));
    let write = |options: WriterOptions| -> Result<(f64, Vec<u8>), Box<dyn Error>> {
        let start = Instant::now();
        let mut writer = StreamingSstWriter::new(Vec::with_capacity(40 << 20), options);
        for key in &keys {
            writer.add((key, &key[8..]))?;
        }
        let finished = writer.finish()?;
        Ok((start.elapsed().as_secs_f64(), finished.meta.filter.as_slice().to_vec()))
    };
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (ours, our_bytes) = write(WriterOptions::default().filter(QuotientFilter::default()))?;
        let (theirs, their_bytes) = write(WriterOptions::default().filter(WithQfilter))?;
        assert_eq!(our_bytes, their_bytes, "both make the same filter");
        ratios.push(theirs / ours);
    }
    println!("writing (a): qfilter's builder takes {:.2} x the time of ours", median(ratios));
    Ok(())
}

/// Builds filters of more and more fingerprints, up to [`MOST`].
fn build_filters(name: &str, first: Option<u64>, rounds: usize) -> Result<(), Box<dyn Error>> {
    println!("{name}:");
    let mut count = MOST >> 6;
    while count <= MOST {
        let hashes = hashes(count, first)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (our_time, our_bytes) = timed(&QuotientFilter::default(), &hashes)?;
            let (their_time, their_bytes) = timed(&WithQfilter, &hashes)?;
            assert_eq!(our_bytes, their_bytes, "both make the same filter");
            ours.push(our_time);
            theirs.push(their_time);
            if their_time > PATIENCE / 10.0 {
                break;
            }
        }
        let [ours, theirs] = [ours, theirs].map(median);
        let each = 1e9 / count as f64;
        println!(
            "  {count:>8} fingerprints: ours {:8.1} ns each, qfilter {:10.1} ns each, {:8.2} x",
            ours * each,
            theirs * each,
            theirs / ours
        );
        if theirs > PATIENCE {
            println!("  given up: one filter took {theirs:.1} s");
            break;
        }
        count *= 2;
    }
    Ok(())
}

/// Random hashes. Their quotients are anywhere or, if `part` is given, all in that one of the
/// [`CLUSTER`] parts.
fn hashes(count: u64, part: Option<u64>) -> Result<Vec<u64>, qfilter::Error> {
    let fingerprint_bits = fingerprint_bits(count)?;
    let part_bits = u32::from(fingerprint_bits) - CLUSTER.ilog2();
    let place = |hash: u64, part: u64| hash & ((1 << part_bits) - 1) | part << part_bits;
    let mut hashes: Vec<u64> =
        (0..count).map(spread).map(|hash| part.map_or(hash, |part| place(hash, part))).collect();
    hashes.sort_unstable();
    Ok(hashes)
}

fn timed(policy: &dyn FilterPolicy, hashes: &[u64]) -> Result<(f64, Vec<u8>), FilterError> {
    let start = Instant::now();
    let mut builder = policy.builder();
    hashes.chunks(512).for_each(|hashes| builder.add_hashes(hashes));
    let bytes = black_box(builder.finish()?);
    Ok((start.elapsed().as_secs_f64(), bytes))
}

/// A policy that builds the same filter with `qfilter` and `postcard`.
#[derive(Debug)]
struct WithQfilter;

impl FilterPolicy for WithQfilter {
    fn builder(&self) -> Box<dyn FilterBuilder> {
        Box::new(Collected(Vec::new()))
    }

    fn open(&self, bytes: FilterBytes) -> Result<Box<dyn filter::Filter>, FilterError> {
        QuotientFilter::default().open(bytes)
    }
}

#[derive(Debug)]
struct Collected(Vec<u64>);

impl FilterBuilder for Collected {
    fn add_hashes(&mut self, hashes: &[u64]) {
        self.0.extend_from_slice(hashes);
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError> {
        const FAILED: FilterError = FilterError::new("qfilter cannot build it");
        let count = self.0.len() as u64;
        let bits = fingerprint_bits(count).map_err(|_| FAILED)?;
        let rate = (-f64::from(REMAINDER_BITS)).exp2();
        let mut builder = Builder::new(Filter::new(count, rate).map_err(|_| FAILED)?);
        for fingerprint in sorted(self.0, bits) {
            builder.insert_fingerprint(false, fingerprint).map_err(|_| FAILED)?;
        }
        postcard::to_allocvec(&builder.into_filter()).map_err(|_| FAILED)
    }
}

fn fingerprint_bits(count: u64) -> Result<u8, qfilter::Error> {
    let rate = (-f64::from(REMAINDER_BITS)).exp2();
    Ok(qfilter::filter_specs(count, rate)?.fingerprint_bits)
}

/// The low `bits` bits of all hashes in ascending order, by a radix sort from the low digit up.
fn sorted(mut hashes: Vec<u64>, bits: u8) -> Vec<u64> {
    const DIGIT_BITS: u32 = 11;
    let mask = u64::MAX >> (64 - bits);
    hashes.iter_mut().for_each(|hash| *hash &= mask);
    let mut other = vec![0; hashes.len()];
    for shift in (0..u32::from(bits)).step_by(DIGIT_BITS as usize) {
        let digit = |hash: u64| (hash >> shift) as usize & ((1 << DIGIT_BITS) - 1);
        let mut starts = [0_usize; 1 << DIGIT_BITS];
        for &hash in &hashes {
            starts[digit(hash)] += 1;
        }
        let mut start = 0;
        for slot in &mut starts {
            start += std::mem::replace(slot, start);
        }
        for &hash in &hashes {
            let slot = &mut starts[digit(hash)];
            other[*slot] = hash;
            *slot += 1;
        }
        std::mem::swap(&mut hashes, &mut other);
    }
    hashes
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The n-th of a sequence of evenly spread numbers.
fn spread(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
