//! Damaged bytes give an error or, at worst, some more "maybe"s. They cause no panic, no endless
//! loop and no large allocation, and no wrong "no" that a check could have noticed.

use crate::helpers::{any_hashes, build, spread, spread_hashes};
use proptest::prelude::*;
use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_format::filter::{FilterBytes, FilterPolicy};

/// Queries damaged bytes in every way. Only a panic or an endless loop fails.
fn query_everything(bytes: &[u8]) {
    let unchecked = QuotientFilter::default().check_on_open(false);
    let _ = unchecked
        .open(FilterBytes::new(bytes.to_vec()))
        .map(|filter| (0..50).map(spread).filter(|&hash| filter.may_contain(hash)).count());
    if let Ok(view) = QuotientFilterView::parse(bytes) {
        let _ = view.check_structure();
        let _ = view.validate();
        // Every quotient of a small filter.
        let step = 1 << view.info().remainder_bits.min(57);
        for n in 0..100_u64 {
            let _ = view.may_contain(n.wrapping_mul(step) | n & 1);
        }
    }
}

/// Filters with every kind of block: nearly empty, full, with runs that wrap around or span blocks,
/// with saturated offsets, with wide remainders.
fn samples() -> Vec<(Vec<u8>, Vec<u64>)> {
    let default = QuotientFilter::default();
    let clustered: Vec<u64> = (0..400).collect();
    let around: Vec<u64> = ((1 << 14) - 100..(1 << 14) + 20).collect();
    [
        (default, spread_hashes(10)),
        (default, spread_hashes(61)),
        (default, spread_hashes(122)),
        (default, spread_hashes(240)),
        (default, clustered),
        (default, around),
        (QuotientFilter::with_false_positive_rate(0.5), spread_hashes(60)),
        (QuotientFilter::with_false_positive_rate(0.0), spread_hashes(60)),
    ]
    .map(|(policy, hashes)| (build(policy, &hashes), hashes))
    .into()
}

/// The part of a filter that a bit belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Envelope,
    Skeleton,
    Remainder,
    Padding,
}

fn part(bytes: &[u8], at: usize) -> Part {
    let info = QuotientFilter::info(bytes).unwrap();
    let buffer_at = 1 + usize::from(bytes[0] >= 128);
    let block_len = 17 + 8 * usize::from(info.remainder_bits);
    match at.checked_sub(buffer_at) {
        None => Part::Envelope,
        Some(at) if at >= info.buffer_len => Part::Envelope,
        Some(at) if at >= info.buffer_len - 8 => Part::Padding,
        Some(at) if at % block_len < 17 => Part::Skeleton,
        Some(_) => Part::Remainder,
    }
}

#[test]
fn every_single_flipped_bit() {
    for (bytes, hashes) in samples() {
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                damaged[at] ^= 1 << bit;
                check_flipped_bit(&damaged, part(&bytes, at), &hashes);
                query_everything(&damaged);
                damaged[at] = bytes[at];
            }
        }
    }
}

/// A flipped bit is an error on parsing, on opening or on validating, depending on where it is.
/// Only a flipped remainder may go unnoticed, and then it changes the answer for the one
/// fingerprint that was stored there.
#[track_caller]
fn check_flipped_bit(damaged: &[u8], part: Part, hashes: &[u64]) {
    let opened = QuotientFilter::default().open(FilterBytes::new(damaged.to_vec()));
    let valid = QuotientFilterView::parse(damaged).and_then(|view| view.validate());
    match part {
        Part::Envelope | Part::Padding => assert!(valid.is_err()),
        Part::Skeleton => assert!(opened.is_err()),
        Part::Remainder => {
            let Ok(filter) = opened else {
                return assert!(valid.is_err());
            };
            let forgotten: Vec<u64> =
                hashes.iter().copied().filter(|&hash| !filter.may_contain(hash)).collect();
            let info = QuotientFilter::info(damaged).unwrap();
            let bits = info.quotient_bits + info.remainder_bits;
            let same = |a: u64, b: u64| (a ^ b) << (64 - bits) == 0;
            assert!(forgotten.windows(2).all(|pair| same(pair[0], pair[1])));
        }
    }
}

/// Only the blocks that a builder makes from some fingerprints pass validation.
#[test]
fn a_valid_filter_can_be_built() {
    for (bytes, _) in samples() {
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                damaged[at] ^= flip;
                if QuotientFilterView::parse(&damaged).is_ok_and(|view| view.validate().is_ok()) {
                    assert_rebuilt(&damaged);
                }
                damaged[at] = bytes[at];
            }
        }
    }
}

#[track_caller]
fn assert_rebuilt(bytes: &[u8]) {
    let view: qfilter::FilterRef<'_> = postcard::from_bytes(bytes).unwrap();
    let mut again =
        qfilter::Filter::with_fingerprint_size(view.capacity(), view.fingerprint_size()).unwrap();
    for fingerprint in view.fingerprints() {
        again.insert_fingerprint(false, fingerprint).unwrap();
    }
    // The two differ only in the last field, the size that a filter may grow to.
    let mut again = postcard::to_allocvec(&again).unwrap();
    again.truncate(bytes.len());
    *again.last_mut().unwrap() = 0;
    assert!(again == bytes);
}

#[test]
fn every_length_but_the_right_one() {
    for (bytes, _) in samples() {
        for len in 0..bytes.len() {
            assert!(QuotientFilterView::parse(&bytes[..len]).is_err(), "{len}");
        }
        for tail in [0, 1, 6, 255] {
            let longer = [&bytes[..], &[tail]].concat();
            assert!(QuotientFilterView::parse(&longer).is_err(), "{tail}");
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        query_everything(&bytes);
    }

    /// Random blocks in a sound envelope.
    #[test]
    fn random_blocks(
        blocks in 0_u8..4,
        width in 1_u8..17,
        fill in prop_oneof![Just(None), any::<u8>().prop_map(Some)],
        noise in any::<u64>(),
        count in 0_u8..60,
    ) {
        let len = (1_usize << blocks) * (17 + 8 * usize::from(width)) + 8;
        let mut bytes = postcard::to_allocvec(&len).unwrap();
        let random = |n| spread(noise.wrapping_add(n)).to_be_bytes()[0];
        bytes.extend((0..len as u64).map(|n| fill.unwrap_or_else(|| random(n))));
        bytes.extend([count, 6 + blocks, width, 0]);
        prop_assert!(QuotientFilterView::parse(&bytes).is_ok());
        query_everything(&bytes);
    }

    #[test]
    fn several_changed_bytes(
        hashes in any_hashes(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = build(QuotientFilter::default(), &hashes);
        for (at, value) in changes {
            *at.get_mut(&mut bytes) = value;
        }
        query_everything(&bytes);
    }
}

/// Blocks that could send a reader around in circles: no run ends, or offsets that all refer to the
/// block before.
#[test]
fn runs_without_an_end() {
    for quotient_bits in [6, 7, 10, 14] {
        for (offset, occupieds, runends) in [
            (0, 0xFF, 0),
            (255, 0xFF, 0),
            (254, 0xFF, 0),
            (255, 0xFF, 0xFF),
            (63, 0x80, 0),
            (64, 1, 1),
        ] {
            let blocks = 1_usize << (quotient_bits - 6);
            let block: Vec<u8> =
                [vec![offset], vec![occupieds; 8], vec![runends; 8], vec![0; 56]].concat();
            let buffer = [block.repeat(blocks), vec![0; 8]].concat();
            let mut bytes = postcard::to_allocvec(&buffer.len()).unwrap();
            bytes.extend(buffer);
            bytes.extend([10, quotient_bits, 7, 0]);
            let view = QuotientFilterView::parse(&bytes).unwrap();
            assert!(view.check_structure().is_err(), "{offset} {occupieds} {runends}");
            // The quotient is occupied, but no run holds this remainder.
            for block in 0..blocks as u64 {
                assert!(view.may_contain((block * 64 + 7) << 7 | 0x55) || occupieds == 1);
            }
            query_everything(&bytes);
        }
    }
}
