//! The bytes of a few small filters.

use crate::helpers::{build, check_sound};
use sst_amqf::QuotientFilter;

/// Fails unless the filter of these hashes has these bytes, in hex with blanks anywhere.
#[track_caller]
fn check(hashes: &[u64], hex: &str) {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let expected: Vec<u32> = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect();
    let bytes = build(QuotientFilter::default(), hashes);
    let found: Vec<u32> = bytes.iter().copied().map(u32::from).collect();
    assert_eq!(found, expected);
    check_sound(&bytes, hashes);
}

#[test]
fn none() {
    check(
        &[],
        "51
         00 0000000000000000 0000000000000000
         00000000000000 00000000000000 00000000000000 00000000000000
         00000000000000 00000000000000 00000000000000 00000000000000
         0000000000000000
         00 06 07 00",
    );
}

#[test]
fn one() {
    // Quotient 0x13, remainder 0x62.
    check(
        &[0x384D_070C_D5D8_29E2],
        "51
         00 0000080000000000 0000080000000000
         00000000000000 00000000000000 0000400c000000 00000000000000
         00000000000000 00000000000000 00000000000000 00000000000000
         0000000000000000
         01 06 07 00",
    );
}

#[test]
fn five() {
    check(
        &[
            0x270A_1A6D_7061_0DE4,
            0x47ED_79F2_A9AF_12CC,
            0x9DEC_3C21_8E94_CA86,
            0xBDE3_E4A4_9619_ADFC,
            0xD3E7_A696_1CD9_8027,
        ],
        "51
         00 0100200820000000 0100201020000000
         27000000000000 00000000000000 00000000300000 000080cc070000
         00000000600200 00000000000000 00000000000000 00000000000000
         0000000000000000
         05 06 07 00",
    );
}

/// Three remainders of quotient 63: two of them wrap around to slots 0 and 1 and push quotient 0
/// on.
#[test]
fn around_the_end() {
    check(
        &[0x0001, 0x0002, 0x1F7F, 0x1F81, 0x1F82, 0x1FFF, 0x0001_0000],
        "51
         02 01000000000000c0 1200000000000040
         823f2020000000 00000000000000 00000000000000 00000000000000
         00000000000000 00000000000000 00000000000000 0000000000fc03
         0000000000000000
         07 06 07 00",
    );
}

/// Two remainders of quotient 62, which push quotient 63 into the second block.
#[test]
fn across_blocks() {
    let mut hashes: Vec<u64> = (0..62).map(|quotient| quotient << 7).collect();
    hashes.extend([0x1F01, 0x1F02, 0x1F83, 0x2000]);
    check(
        &hashes,
        "9a01
         00 ffffffffffffffff ffffffffffffffbf
         00000000000000 00000000000000 00000000000000 00000000000000
         00000000000000 00000000000000 00000000000000 00000000000404
         01 0100000000000000 0300000000000000
         03000000000000 00000000000000 00000000000000 00000000000000
         00000000000000 00000000000000 00000000000000 00000000000000
         0000000000000000
         42 07 07 00",
    );
}
