//! Hostile filters: absurd parameters, lengths and counts, and contents that contradict themselves.

use sst_amqf::QuotientFilter;
use sst_conformance::SplitMix;
use sst_format::filter::{FilterBytes, FilterPolicy};

use super::allocations::peak_of;
use super::common::without_panic;
use super::mutants::below;
use super::parts::FIXED_COST;

fn hashes(count: u64) -> Vec<u64> {
    let mut random = SplitMix::new(count);
    let mut hashes: Vec<u64> = (0..count).map(|_| random.word()).collect();
    hashes.sort_unstable();
    hashes
}

fn filter_of(hashes: &[u64]) -> Vec<u8> {
    let mut builder = QuotientFilter::default().builder();
    builder.add_hashes(hashes);
    builder.finish().unwrap()
}

/// Opens a filter and asks it, with and without the check on opening, and checks that this does not panic and takes hardly
/// any memory. Returns how many of the hashes each of the two denies; `None` if it cannot be opened.
fn ask(bytes: &[u8], hashes: &[u64], what: &str) -> [Option<usize>; 2] {
    [true, false].map(|is_checked| {
        let policy = QuotientFilter::default().check_on_open(is_checked);
        let bytes = FilterBytes::new(bytes.to_vec());
        let (denied, peak) = peak_of(|| {
            without_panic(|| {
                let filter = policy.open(bytes).ok()?;
                Some(hashes.iter().filter(|&&hash| !filter.may_contain(hash)).count())
            })
        });
        assert!((peak as u64) < FIXED_COST, "{what}: {peak} bytes");
        denied.unwrap_or_else(|| panic!("{what}: panic"))
    })
}

#[test]
fn absurd_parameters() {
    let hashes = hashes(50);
    let intact = filter_of(&hashes);
    assert_eq!(ask(&intact, &hashes, "intact"), [Some(0); 2]);
    // The last bytes are: number of fingerprints, quotient bits, remainder bits, no largest quotient bits.
    let (head, tail) = intact.split_at(intact.len() - 4);
    assert_eq!(*tail, [50, 6, 7, 0]);
    for count in [&[0x7f][..], &[0xff, 0x01], &[0xff; 9], &[0xff; 10], &[0xff; 11], &[]] {
        for quotient_bits in [0, 1, 5, 6, 7, 32, 58, 59, 60, 63, 64, 255] {
            for remainder_bits in [0, 1, 7, 8, 57, 58, 59, 64, 128, 255] {
                for max in [&[0][..], &[1], &[1, 6], &[1, 255], &[2], &[0, 0], &[]] {
                    let lie = [head, count, &[quotient_bits, remainder_bits], max].concat();
                    let what = format!("{:?}", &lie[head.len()..]);
                    assert_eq!(ask(&lie, &hashes, &what), [None; 2], "{what}");
                }
            }
        }
    }
}

#[test]
fn lengths_that_lie() {
    let hashes = hashes(50);
    let intact = filter_of(&hashes);
    for len in 0..intact.len() {
        assert_eq!(ask(&intact[..len], &hashes, "truncated"), [None; 2], "{len}");
    }
    let longer = [&intact[..], &[0]].concat();
    assert_eq!(ask(&longer, &hashes, "a byte too many"), [None; 2]);
    let head_len = 1;
    for lie in [&[0][..], &[1], &[0x80, 0], &[0xff; 9], &[0xff; 10], &[0xff; 20]] {
        let bytes = [lie, &intact[head_len..]].concat();
        assert_eq!(ask(&bytes, &hashes, "buffer length"), [None; 2], "{lie:?}");
    }
}

#[test]
fn flips_that_deny_a_hash_are_found_on_opening_but_for_remainders() {
    for count in [1, 40, 500] {
        let hashes = hashes(count);
        let intact = filter_of(&hashes);
        // Blocks of 1 + 8 + 8 bytes and 64 remainders of 7 bits, behind the length of them all.
        let head_len = intact.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        let is_remainder =
            |at: usize| at >= head_len && at < intact.len() - 12 && (at - head_len) % 73 >= 17;
        let mut denying = 0;
        for at in 0..intact.len() {
            for bit in 0..8 {
                let mut bytes = intact.clone();
                bytes[at] ^= 1 << bit;
                let what = format!("byte {at}, bit {bit} of a filter of {count}");
                let [checked, _] = ask(&bytes, &hashes, &what);
                let is_denying = checked.is_some_and(|denied| denied > 0);
                assert!(!is_denying || is_remainder(at), "{what}");
                denying += u64::from(is_denying);
            }
        }
        assert!(denying > 0, "no flip of a remainder denies a hash");
    }
}

#[test]
fn random_contents() {
    let hashes = hashes(300);
    let intact = filter_of(&hashes);
    let (mut opened, mut unchecked) = (0, 0);
    for seed in 0..5000 {
        let mut random = SplitMix::new(seed);
        let mut bytes = intact.clone();
        for _ in 0..=below(&mut random, 6) {
            let at = below(&mut random, bytes.len());
            let len = below(&mut random, 20).min(bytes.len() - at);
            let fill = [0, 0xff, random.bytes(1)[0]][below(&mut random, 3)];
            bytes[at..at + len].fill(fill);
        }
        let [checked, any] = ask(&bytes, &hashes, &format!("filter {seed}"));
        opened += u64::from(checked.is_some());
        unchecked += u64::from(any.is_some());
    }
    println!("{opened} open with a check, {unchecked} without");
    assert!(opened < unchecked && unchecked < 5000);
}
