//! Every hash that was added gets a "maybe".

use crate::helpers::{any_hashes, any_rate, build, check_sound, spread_hashes};
use proptest::prelude::*;
use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_format::filter::{FilterBytes, FilterPolicy};

proptest! {
    #[test]
    fn no_false_negatives(hashes in any_hashes(), rate in any_rate()) {
        check_sound(&build(QuotientFilter::with_false_positive_rate(rate), &hashes), &hashes);
    }

    #[test]
    fn order_does_not_matter(mut hashes in any_hashes(), by in 0_usize..50) {
        let bytes = build(QuotientFilter::default(), &hashes);
        let by = by.min(hashes.len());
        hashes.rotate_left(by);
        prop_assert_eq!(build(QuotientFilter::default(), &hashes), bytes);
    }
}

proptest! {
    #[test]
    fn all_fingerprints_are_listed_once(hashes in any_hashes(), rate in any_rate()) {
        let policy = QuotientFilter::with_false_positive_rate(rate);
        let filter = policy.open(FilterBytes::new(build(policy, &hashes))).unwrap();
        let mut found = filter.fingerprints().unwrap();
        let mask = u64::MAX >> (u64::BITS - found.bits);
        let mut expected: Vec<u64> = hashes.iter().map(|hash| hash & mask).collect();
        expected.sort_unstable();
        expected.dedup();
        found.values.sort_unstable();
        prop_assert_eq!(found.values, expected);
    }
}

#[test]
fn without_hashes_always_no() {
    let filter = build(QuotientFilter::default(), &[]);
    let view = QuotientFilterView::parse(&filter).unwrap();
    view.validate().unwrap();
    assert_eq!(view.info().fingerprint_count, 0);
    for hash in [0, 1, u64::MAX] {
        assert!(!view.may_contain(hash));
    }
}

#[test]
fn other_hashes_get_a_no() {
    let view_of = |hashes: &[u64]| build(QuotientFilter::default(), hashes);
    let bytes = view_of(&[0x1FFF]);
    let view = QuotientFilterView::parse(&bytes).unwrap();
    for hash in 0..0x1FFF {
        assert!(!view.may_contain(hash), "{hash:#x}");
    }
    // Bits above the fingerprint don't count.
    assert!(view.may_contain(u64::MAX));
}

#[test]
fn up_to_and_over_each_capacity() {
    // 95 % of 64, 128, 256 and 4096 slots, rounded up.
    for (capacity, quotient_bits) in [(61, 6), (122, 7), (244, 8), (3892, 12)] {
        for (count, bits) in [(capacity, quotient_bits), (capacity + 1, quotient_bits + 1)] {
            let hashes = spread_hashes(count);
            let bytes = build(QuotientFilter::default(), &hashes);
            check_sound(&bytes, &hashes);
            assert_eq!(QuotientFilter::info(&bytes).unwrap().quotient_bits, bits, "{count}");
        }
    }
}

#[test]
fn sized_for_all_entries_but_stores_each_fingerprint_once() {
    let mut hashes = vec![7; 100];
    hashes.extend([8; 50]);
    let bytes = build(QuotientFilter::default(), &hashes);
    let info = QuotientFilter::info(&bytes).unwrap();
    assert_eq!((info.fingerprint_count, info.quotient_bits), (2, 8));
    check_sound(&bytes, &hashes);
}

/// Every hash pushes the next one further from home. A builder that updates offsets one by one
/// takes quadratic time here, and so does a query that follows a run without a limit.
#[test]
fn clustered_hashes() {
    let hashes: Vec<u64> = (0..400_000).collect();
    check_sound(&build(QuotientFilter::default(), &hashes), &hashes);
    // All of them wrap around: quotients of 19 bits, remainders of 7.
    let hashes: Vec<u64> =
        ((1 << 26) - 200_000..1 << 26).chain(1 << 26..(1 << 26) + 200_000).collect();
    check_sound(&build(QuotientFilter::default(), &hashes), &hashes);
}

#[test]
fn wide_enough_to_need_more_than_32_bits() {
    // 2^17 slots and 16 bits: fingerprints of 33 bits, in two groups.
    let policy = QuotientFilter::with_false_positive_rate(0.0);
    let hashes = spread_hashes(120_000);
    let bytes = build(policy, &hashes);
    let info = QuotientFilter::info(&bytes).unwrap();
    assert_eq!(info.quotient_bits + info.remainder_bits, 33);
    check_sound(&bytes, &hashes);
}

#[test]
fn opened_in_place() {
    let bytes = build(QuotientFilter::default(), &spread_hashes(1000));
    let owner: &'static [u8] = bytes.leak();
    let filter = QuotientFilter::default().open(FilterBytes::new(owner)).unwrap();
    assert_eq!(filter.fingerprint_count(), QuotientFilter::info(owner).unwrap().fingerprint_count);
}
