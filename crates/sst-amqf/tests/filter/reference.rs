//! The filter of the format is that of `qfilter` 0.3, serialized with `postcard`: the same bytes
//! and the same answers.

use crate::helpers::{any_hashes, any_rate, build, spread, spread_hashes};
use proptest::prelude::*;
use sst_amqf::{QuotientFilter, QuotientFilterView};

/// A filter as FORMAT.md defines it: sized for all entries, with every hash inserted.
fn reference(hashes: &[u64], rate: f64) -> qfilter::Filter {
    let mut filter = qfilter::Filter::new(hashes.len() as u64, rate).unwrap();
    for &hash in hashes {
        filter.insert_fingerprint(false, hash).unwrap();
    }
    filter
}

fn to_bytes(filter: &qfilter::Filter) -> Vec<u8> {
    postcard::to_allocvec(filter).unwrap()
}

proptest! {
    #[test]
    fn same_bytes(hashes in any_hashes(), rate in any_rate()) {
        // Our policy raises lower rates to 2^-16.
        let rate = rate.max(1.0 / 65_536.0);
        let bytes = build(QuotientFilter::with_false_positive_rate(rate), &hashes);
        prop_assert!(bytes == to_bytes(&reference(&hashes, rate)));
    }

    /// For clustered hashes our filter may answer "maybe" where the reference answers "no".
    #[test]
    fn same_answers(hashes in any_hashes(), others in any_hashes(), rate in any_rate()) {
        let theirs = reference(&hashes, rate);
        let bytes = to_bytes(&theirs);
        let ours = QuotientFilterView::parse(&bytes).unwrap();
        ours.validate().unwrap();
        for &hash in hashes.iter().chain(&others) {
            prop_assert!(ours.may_contain(hash) || !theirs.contains_fingerprint(hash));
        }
    }
}

#[test]
fn same_answers_for_spread_hashes() {
    for count in [1, 50, 61, 1000, 3892, 62_259] {
        let theirs = reference(&spread_hashes(count), 0.01);
        let bytes = to_bytes(&theirs);
        let ours = QuotientFilterView::parse(&bytes).unwrap();
        for hash in (0..100_000).map(|n| spread(n + count / 2)) {
            assert_eq!(ours.may_contain(hash), theirs.contains_fingerprint(hash), "{hash:#x}");
        }
    }
}

/// The used-keys filter of a meta file, empty and not: its fingerprints are whole hashes, and it
/// may grow.
#[test]
fn whole_hashes() {
    for count in [0, 1, 40, 60, 100, 1000] {
        let mut theirs = qfilter::Filter::with_fingerprint_size(0, 64).unwrap();
        let hashes = spread_hashes(count);
        for &hash in &hashes {
            theirs.insert_fingerprint(false, hash).unwrap();
        }
        let bytes = to_bytes(&theirs);
        let ours = QuotientFilterView::parse(&bytes).unwrap();
        ours.validate().unwrap();
        assert_eq!(ours.info().fingerprint_count, count);
        assert_eq!(ours.info().quotient_bits + ours.info().remainder_bits, 64);
        for (n, &hash) in hashes.iter().enumerate() {
            assert!(ours.may_contain(hash));
            assert!(!ours.may_contain(hash ^ 1 << (n % 64)));
        }
    }
}

/// Every width of a remainder, among them those that don't fit a word from their first byte on.
#[test]
fn every_width() {
    for bits in 7..=64 {
        let mut theirs = qfilter::Filter::with_fingerprint_size(61, bits).unwrap();
        for hash in spread_hashes(61) {
            theirs.insert_fingerprint(false, hash).unwrap();
        }
        let bytes = to_bytes(&theirs);
        let ours = QuotientFilterView::parse(&bytes).unwrap();
        ours.validate().unwrap();
        for hash in (0..5000).map(spread) {
            assert_eq!(ours.may_contain(hash), theirs.contains_fingerprint(hash), "{bits}");
        }
    }
}
