use alloc::vec::Vec;

use super::fixed::FixedShape;
use super::*;
use crate::limits::{
    KEY_BLOCK_ENTRIES, KEY_BLOCK_SIZE, MAX_EMPTY_ENTRIES, MAX_KEY_LEN, MAX_POSITION,
};
use crate::{BlobNumber, BlockIndex};

fn hash_key(key: &[u8]) -> u64 {
    key.iter().fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

fn shape_of(entries: &[(&[u8], ValueRef<'_>)]) -> KeyBlockShape {
    entries.iter().fold(KeyBlockShape::default(), |shape, (key, value_ref)| {
        shape.with_entry(key.len(), value_ref.entry_type().unwrap()).unwrap()
    })
}

fn encode(entries: &[(&[u8], ValueRef<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = KeyBlockEncoder::new(&shape_of(entries), &mut out);
    for (key, value_ref) in entries {
        encoder.push(hash_key(key), key, *value_ref);
    }
    encoder.finish().unwrap();
    out
}

/// Encodes entries given as encoded bytes: all at once if the kind of the block allows it, else one
/// by one.
fn encode_encoded(entries: &[(&[u8], ValueRef<'_>)]) -> Vec<u8> {
    let encoded = entries.iter().map(|(key, value_ref)| {
        let mut bytes = key.to_vec();
        value_ref.encode(&mut bytes);
        bytes
    });
    let encoded: Vec<Vec<u8>> = encoded.collect();
    let shape = shape_of(entries);
    assert_eq!(shape.entries_len(), encoded.concat().len() as u64);
    let mut out = Vec::new();
    let mut encoder = KeyBlockEncoder::new(&shape, &mut out);
    let is_plain = encoder.push_all_encoded(&encoded.concat());
    assert_eq!(is_plain, shape.kind() == KeyBlockKind::Fixed(Hashes::Computed));
    if !is_plain {
        for ((key, value_ref), bytes) in entries.iter().zip(&encoded) {
            encoder.push_encoded(hash_key(key), value_ref.entry_type().unwrap(), bytes);
        }
    }
    encoder.finish().unwrap();
    out
}

/// Encodes entries, and checks the kind, the length and every entry read back.
fn check(entries: &[(&[u8], ValueRef<'_>)], kind: KeyBlockKind) -> Vec<u8> {
    let bytes = encode(entries);
    let shape = shape_of(entries);
    assert_eq!(shape.kind(), kind);
    assert_eq!(shape.encoded_len(), bytes.len() as u64);
    assert_eq!(bytes[0], kind.to_byte());
    assert_eq!(encode_encoded(entries), bytes);
    let block = KeyBlock::parse(&bytes).unwrap();
    assert_eq!(block.kind(), kind);
    assert_eq!(block.entry_count() as usize, entries.len());
    for (i, (key, value_ref)) in (0..).zip(entries) {
        let entry = block.entry(i).unwrap();
        assert_eq!(entry.key, *key);
        assert_eq!(entry.value_ref().unwrap(), *value_ref);
        let stored = kind.hashes() == Hashes::Stored;
        assert_eq!(entry.stored_hash, stored.then(|| hash_key(key)));
    }
    assert!(block.entry(block.entry_count()).is_err());
    assert!(block.entry(u32::MAX).is_err());
    if let KeyBlock::Fixed(block) = block {
        assert_eq!(usize::from(block.key_len()), entries[0].0.len());
        for i in 0..block.entry_count() {
            assert_eq!(block.stored_hash(i), block.entry(i).unwrap().stored_hash);
        }
        assert_eq!(block.stored_hash(block.entry_count()), None);
        let shape = FixedShape::unpack(block.shape().pack()).unwrap();
        assert_eq!(shape, block.shape());
        let again = shape.attach(block.entries()).unwrap();
        assert_eq!(again.entry(0), block.entry(0));
        assert!(shape.attach(&bytes).is_none(), "the header is no part of the entries");
    }
    bytes
}

/// The shape of an entry with a key of `first` bytes and of tombstones of the empty key, `count`
/// entries in all.
fn with_tombstones_of_the_empty_key(
    first: usize,
    count: u32,
) -> Result<KeyBlockShape, FormatError> {
    let first = KeyBlockShape::default().with_entry(first, EntryType::DELETED);
    (1..count).try_fold(first?, |shape, _| shape.with_entry(0, EntryType::DELETED))
}

#[test]
fn only_entries_that_all_take_no_byte_have_a_limit_of_their_own() {
    let shape = |first, count| with_tombstones_of_the_empty_key(first, count);
    assert_eq!(shape(0, MAX_EMPTY_ENTRIES).unwrap().entry_count(), MAX_EMPTY_ENTRIES);
    assert!(shape(0, MAX_EMPTY_ENTRIES + 1).is_err());
    assert!(shape(1, MAX_EMPTY_ENTRIES + 1).is_ok());
}

const LONG: &[u8] = &[7; 33];
const LONGER: &[u8] = &[8; 256];
const SMALL: ValueRef<'static> = ValueRef::Small { block: BlockIndex(1), len: 2, offset: 3 };

#[test]
fn all_kinds_round_trip() {
    use Hashes::{Computed, Stored};
    use KeyBlockKind::{Fixed, Variable};
    use ValueRef::{Blob, Deleted, Inline, Medium};

    let bytes = check(&[(b"a", Inline(b"x")), (b"b", Inline(b"y"))], Fixed(Computed));
    assert_eq!(bytes, b"\x04\0\0\x02\x01\x09axby");
    let bytes = check(&[(b"a", Deleted), (b"bc", Medium(BlockIndex(9)))], Variable(Computed));
    assert_eq!(bytes, b"\x02\0\0\x02\x02\0\0\0\x03\0\0\x01abc\0\x09");
    check(&[(LONG, SMALL)], Fixed(Stored));
    check(&[(b"a", SMALL), (LONG, Blob(BlobNumber(4)))], Variable(Stored));
    check(&[(LONGER, SMALL)], Variable(Stored));
    check(&[(b"", Deleted)], Fixed(Computed));
    check(&[(b"a", Inline(b"x")), (b"b", Inline(b"yz"))], Variable(Computed));
}

#[test]
fn damage_is_reported() {
    for bad in [&b""[..], &[0], &[5, 0, 0, 1], &[4, 0, 0, 0, 0, 2], &[2, 0, 0, 0], &[2, 0, 0, 1]] {
        assert!(KeyBlock::parse(bad).is_err(), "{bad:?}");
    }
    // More tombstones of the empty key than there can be, in a block of six bytes.
    assert!(KeyBlock::parse(&[4, 0xff, 0xff, 0xff, 0, 2]).is_err());
    assert!(KeyBlock::parse(&[4, 0, 0, 2, 0, 2]).is_err());
    // Empty inline values of the empty key have a limit.
    assert_eq!(KeyBlock::parse(&[4, 0, 0xff, 0xff, 0, 8]).unwrap().entry_count(), 65_535);
    assert!(KeyBlock::parse(&[4, 1, 0, 0, 0, 8]).is_err());
    let fixed = encode(&[(b"a", SMALL), (b"b", SMALL)]);
    assert!(KeyBlock::parse(&fixed[..fixed.len() - 1]).is_err());
    let mut variable = encode(&[(b"a", SMALL), (b"bc", ValueRef::Deleted)]);
    variable[4] = 7;
    let block = KeyBlock::parse(&variable).unwrap();
    assert_eq!(block.entry(0), Err(FormatError::UnknownEntryType { found: 7 }));
    assert!(block.validate(hash_key).is_err());
    variable[4] = 0;
    variable[11] = 7;
    let block = KeyBlock::parse(&variable).unwrap();
    assert_eq!(block.entry(0), Err(FormatError::EntryOutOfBounds { index: 0 }));
    variable[11] = 200;
    let block = KeyBlock::parse(&variable).unwrap();
    assert!(block.entry(0).is_err() && block.entry(1).is_err());
}

#[test]
fn bytes_of_no_entry_are_found() {
    let mut bytes = encode(&[(b"a", SMALL), (b"bc", ValueRef::Deleted)]);
    KeyBlock::parse(&bytes).unwrap().validate(hash_key).unwrap();
    bytes[7] = 1;
    assert!(KeyBlock::parse(&bytes).unwrap().validate(hash_key).is_err());
}

#[test]
fn order_is_validated() {
    let in_order = encode(&[(b"a", SMALL), (b"b", SMALL), (b"b", SMALL)]);
    KeyBlock::parse(&in_order).unwrap().validate(hash_key).unwrap();
    let out_of_order = encode(&[(b"b", SMALL), (b"a", SMALL)]);
    let error = KeyBlock::parse(&out_of_order).unwrap().validate(hash_key).unwrap_err();
    assert_eq!(error, FormatError::OutOfOrder { structure: Structure::KeyBlock, index: 1 });
}

#[test]
fn encoder_refuses_other_entries_than_the_shape() {
    let mut out = Vec::new();
    let shape = shape_of(&[(b"a", SMALL), (b"b", SMALL)]);
    let mut encoder = KeyBlockEncoder::new(&shape, &mut out);
    encoder.push(1, b"a", SMALL);
    assert!(encoder.finish().is_err());
    let shape = shape_of(&[(b"a", SMALL), (b"bc", ValueRef::Inline(b"12345678"))]);
    let mut encoder = KeyBlockEncoder::new(&shape, &mut out);
    encoder.push(1, b"abbc", ValueRef::Inline(b"123456781234567"));
    assert!(encoder.finish().is_err());
}

#[test]
fn a_block_is_full_at_its_limits() {
    let shape = |key_len: usize, count: u32| {
        (0..count).fold(KeyBlockShape::default(), |shape, _| {
            shape.with_entry(key_len, EntryType::DELETED).unwrap()
        })
    };
    assert!(!shape(0, KEY_BLOCK_ENTRIES - 1).is_full_for(0, KeyBlockLimit::default()));
    assert!(shape(0, KEY_BLOCK_ENTRIES).is_full_for(0, KeyBlockLimit::default()));
    // 455 × (16 + 20) = 16380.
    assert!(!shape(16, 454).is_full_for(16, KeyBlockLimit::default()));
    assert!(shape(16, 455).is_full_for(0, KeyBlockLimit::default()));
    assert!(!shape(0, 0).is_full_for(KEY_BLOCK_SIZE - 20, KeyBlockLimit::default()));
    assert!(shape(0, 0).is_full_for(KEY_BLOCK_SIZE - 19, KeyBlockLimit::default()));
}

/// The short way gives the same shape as the long one, and it is possible for every entry of the
/// same shape.
#[test]
fn entries_alike_take_the_short_way() {
    let types = [EntryType::SMALL, EntryType::DELETED, EntryType::inline(3).unwrap()];
    for key_len in [0, 1, 16, 32, 33, 40, 255, 256] {
        for entry_type in types {
            let mut shape = KeyBlockShape::default();
            assert_eq!(shape.same_shape(key_len, entry_type, KeyBlockLimit::default()), None);
            while !shape.is_full_for(key_len, KeyBlockLimit::default()) {
                let longer = shape.with_entry(key_len, entry_type).unwrap();
                let same_shape = shape.same_shape(key_len, entry_type, KeyBlockLimit::default());
                assert_eq!(same_shape.is_some(), key_len <= 255 && shape.entry_count() > 0);
                if let Some(same_shape) = same_shape {
                    assert_eq!(shape.encoded_len() + same_shape.growth(), longer.encoded_len());
                    shape.push_same_shape(same_shape);
                    assert_eq!(shape, longer);
                }
                shape = longer;
                assert_eq!(
                    shape.same_shape(key_len + 1, entry_type, KeyBlockLimit::default()),
                    None
                );
                assert_eq!(
                    shape.same_shape(key_len, EntryType::BLOB, KeyBlockLimit::default()),
                    None
                );
            }
            assert_eq!(shape.same_shape(key_len, entry_type, KeyBlockLimit::default()), None);
        }
    }
    let mixed = shape_of(&[(b"a", SMALL), (b"bc", SMALL)]);
    assert_eq!(mixed.same_shape(2, EntryType::SMALL, KeyBlockLimit::default()), None);
}

#[test]
fn the_encoding_has_limits() {
    let none = KeyBlockShape::default();
    assert!(none.with_entry(MAX_KEY_LEN, EntryType::DELETED).is_ok());
    assert!(none.with_entry(MAX_KEY_LEN + 1, EntryType::DELETED).is_err());
    // The second entry starts behind the first: its 8-byte hash, its key and its reference.
    let first = none.with_entry(MAX_POSITION as usize - 16, EntryType::SMALL).unwrap();
    assert!(first.with_entry(1, EntryType::SMALL).is_ok());
    let first = none.with_entry(MAX_POSITION as usize - 15, EntryType::SMALL).unwrap();
    assert!(first.with_entry(1, EntryType::SMALL).is_err());
}

#[test]
fn a_key_is_found_near_its_place_only() {
    let keys: Vec<[u8; 12]> =
        (0..40_u8).map(|i| [b'k', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, i / 2]).collect();
    let entries: Vec<(&[u8], ValueRef<'_>)> =
        keys.iter().map(|key| (key.as_slice(), SMALL)).collect();
    let bytes = encode(&entries);
    let KeyBlock::Fixed(block) = KeyBlock::parse(&bytes).unwrap() else { panic!("not fixed") };
    let near = |i: usize, middle, reach| {
        let found = block.index_near(&keys[i], middle, reach);
        let entry = block.find_near(&keys[i], middle, reach);
        assert_eq!(entry, found.and_then(|i| block.entry(i).ok()));
        found
    };
    // Keys come in pairs of equal ones: the first of a pair is found, never the second.
    assert_eq!(near(10, 10, 1), Some(10));
    assert_eq!(near(10, 7, 4), Some(10));
    assert_eq!(near(10, 7, 3), None);
    assert_eq!(near(10, 13, 3), None);
    assert_eq!(near(0, 0, 1), Some(0));
    assert_eq!(near(38, 38, 9), Some(38));
    assert_eq!(near(38, 40, 9), None);
    assert_eq!(near(38, u32::MAX, 8), None);
    let other = |change: fn(&mut [u8; 12])| {
        let mut key = keys[10];
        change(&mut key);
        block.index_near(&key, 10, 8)
    };
    assert_eq!(other(|_| {}), Some(10));
    assert_eq!(other(|key| key[11] = 77), None);
    assert_eq!(other(|key| key[0] = b'l'), None);
    assert_eq!(block.find_near(&keys[10][..11], 10, 8), None);
}
