use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::block::{BlockHeader, Encoding};
use crate::content_digest::ContentDigest;
use crate::filter::FilterBytes;
use crate::{BlobNumber, TableFlags, TableProtection};

/// A stand-in for CRC-32 that changes with every bit of the input (FNV-1a).
fn crc32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |sum: u32, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn header(n: u32) -> BlockHeader {
    BlockHeader { encoding: Encoding::Lz4 { uncompressed_len: n }, checksum: n * 3 }
}

fn sst_meta(block_count: u16, filter: &'static [u8]) -> SstMeta {
    SstMeta {
        block_count,
        min_hash: 1,
        max_hash: u64::MAX,
        file_size: 1 << 33,
        flags: TableFlags::FRESH,
        filter: FilterBytes::new(filter),
        protection: Some(TableProtection {
            entry_count: 77,
            block_headers: (1..=u32::from(block_count)).map(header).collect(),
        }),
    }
}

const BLOB: BlobRecord = BlobRecord {
    number: BlobNumber(3),
    file_size: 0x0102_0304_0506,
    header: BlockHeader { encoding: Encoding::Raw, checksum: 9 },
};

fn encode() -> (Vec<u8>, u32) {
    encode_with(&[])
}

fn encode_with(certificates: &[FamilyCertificate]) -> (Vec<u8>, u32) {
    let tables = [
        (SequenceNumber(4), sst_meta(2, b"first")),
        (SequenceNumber(5), sst_meta(3, b"")),
        (SequenceNumber(6), sst_meta(1, b"third!")),
    ];
    MetaFileParts {
        family: 2,
        obsolete: &[SequenceNumber(1)],
        tables: &tables,
        live_metas: &[
            LiveMeta { sequence: SequenceNumber(2), checksum: 0xabcd },
            LiveMeta { sequence: SequenceNumber(7), checksum: 0 },
        ],
        blobs: &[BLOB],
        certificates,
    }
    .encode(crc32)
    .unwrap()
}

#[test]
fn everything_written_is_read_back() {
    let (bytes, checksum) = encode();
    assert_eq!(bytes[..4], [0xfe, 0x4a, 0xda, 0x4a]);
    let meta = MetaFile::parse(&bytes, crc32).unwrap();
    assert_eq!(meta.family(), 2);
    assert_eq!(meta.obsolete().collect::<Vec<_>>(), [SequenceNumber(1)]);
    let sequences: Vec<u32> = meta.tables().map(|table| table.sequence.0).collect();
    assert_eq!(sequences, [4, 5, 6]);
    let first = meta.tables().next().unwrap();
    assert_eq!((first.min_hash, first.max_hash, first.file_size), (1, u64::MAX, 1 << 33));
    assert_eq!(first.flags, TableFlags::FRESH);
    let filters: Vec<&[u8]> = meta.filter_ranges().map(|range| &bytes[range]).collect();
    assert_eq!(filters, [&b"first"[..], b"", b"third!"]);
    assert!(meta.used_keys_range().is_empty());

    let protection = meta.protection().unwrap();
    assert_eq!(protection.checksum(), checksum);
    let live: Vec<_> = protection.live_metas().map(|m| (m.sequence.0, m.checksum)).collect();
    assert_eq!(live, [(2, 0xabcd), (7, 0)]);
    assert_eq!(protection.blobs().collect::<Vec<_>>(), [BLOB]);
    let tables: Vec<Vec<BlockHeader>> = meta
        .described()
        .unwrap()
        .iter()
        .map(|table| {
            let protection = table.description(&bytes).unwrap().protection.unwrap();
            assert_eq!(protection.entry_count, 77);
            protection.block_headers.to_vec()
        })
        .collect();
    assert_eq!(
        tables,
        [vec![header(1), header(2)], vec![header(1), header(2), header(3)], vec![header(1)]]
    );
}

#[test]
fn every_flipped_bit_and_every_other_length_is_found() {
    let (bytes, _) = encode();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(MetaFile::parse(&damaged, crc32).is_err(), "bit {bit}");
    }
    let filters_end = MetaFile::parse(&bytes, crc32).unwrap().used_keys_range().end;
    for len in 0..bytes.len() {
        let parsed = MetaFile::parse(&bytes[..len], crc32);
        match parsed {
            // The remaining bytes are a meta file of the original's. `CURRENT` and the list of live
            // meta files tell that this one is not.
            Ok(meta) => assert!(len == filters_end && meta.protection().is_none()),
            Err(_) => assert_ne!(len, filters_end),
        }
    }
    let longer = [&bytes[..], b"SSTP"].concat();
    assert!(MetaFile::parse(&longer, crc32).is_err());
}

#[test]
fn what_is_too_short_says_how_much_it_needs() {
    let (bytes, _) = encode();
    let needed = |len: usize| match MetaFile::parse(&bytes[..len], crc32) {
        Err(FormatError::TooShort { needed, available, .. }) if available == len as u64 => needed,
        other => panic!("{len}: {other:?}"),
    };
    // Magic number, family, count of obsolete tables.
    assert_eq!([0, 3, 4, 7, 8, 11].map(needed), [4, 4, 8, 8, 12, 12]);
    let obsolete = u64::from(u32::from_be_bytes(bytes[8..12].try_into().unwrap()));
    assert!(obsolete > 0);
    assert_eq!(needed(12), 12 + 4 * obsolete);
}

#[test]
fn hostile_numbers_with_a_right_checksum_are_refused() {
    let (bytes, _) = encode();
    for at in (0..bytes.len() - 12).filter(|at| at % 2 == 0) {
        let mut hostile = bytes.clone();
        hostile[at..at + 2].copy_from_slice(&[0xff, 0xff]);
        let covered = hostile.len() - 8;
        let checksum = crc32(&hostile[..covered]).to_be_bytes();
        hostile[covered..covered + 4].copy_from_slice(&checksum);
        if let Ok(meta) = MetaFile::parse(&hostile, crc32) {
            assert!(meta.filter_ranges().all(|range| range.end <= hostile.len()));
            assert_eq!(meta.described().unwrap().len(), 3);
        }
    }
}

#[test]
fn a_table_without_its_block_headers_cannot_be_described() {
    let mut meta = sst_meta(2, b"");
    meta.protection = None;
    let tables = [(SequenceNumber(1), meta)];
    let parts = MetaFileParts {
        family: 0,
        obsolete: &[],
        tables: &tables,
        live_metas: &[],
        blobs: &[],
        certificates: &[],
    };
    assert!(parts.encode(crc32).is_err());
}

#[test]
fn a_table_whose_lowest_hash_is_above_its_highest_is_refused() {
    let (mut bytes, _) = encode();
    let first = MetaFile::parse(&bytes, crc32).unwrap().tables().next().unwrap();
    // Magic, family, one obsolete table and its count, count of tables, sequence number and block
    // count.
    let min_hash_at = 4 + 4 + 8 + 4 + 6;
    bytes[min_hash_at..min_hash_at + 16].copy_from_slice(&[[255; 8], [1; 8]].concat());
    let covered = bytes.len() - 8;
    let checksum = crc32(&bytes[..covered]).to_be_bytes();
    bytes[covered..covered + 4].copy_from_slice(&checksum);
    let (min_hash, max_hash) = (u64::MAX, u64::from_be_bytes([1; 8]));
    let error = FormatError::EmptyHashRange { min_hash, max_hash };
    assert_eq!(MetaFile::parse(&bytes, crc32).unwrap_err(), error);

    let mut meta = sst_meta(first.block_count, b"");
    (meta.min_hash, meta.max_hash) = (min_hash, max_hash);
    let tables = [(SequenceNumber(1), meta)];
    let parts = MetaFileParts {
        family: 0,
        obsolete: &[],
        tables: &tables,
        live_metas: &[],
        blobs: &[],
        certificates: &[],
    };
    assert_eq!(parts.encode(crc32).unwrap_err(), error);
}

fn certificate(family: u32) -> FamilyCertificate {
    let bytes = core::array::from_fn(|i| u8::try_from(i).unwrap() ^ u8::try_from(family).unwrap());
    FamilyCertificate { family, content: ContentDigest::from_bytes(&bytes) }
}

#[test]
fn certificates_are_read_back() {
    let (plain, _) = encode();
    let certificates = [certificate(2), certificate(9)];
    let (bytes, checksum) = encode_with(&certificates);
    // A count, and a family and a digest each.
    assert_eq!(bytes.len(), plain.len() + 4 + 2 * 52);
    let meta = MetaFile::parse(&bytes, crc32).unwrap();
    let section = meta.protection().unwrap();
    assert_eq!(section.checksum(), checksum);
    assert_eq!(section.certificates().collect::<Vec<_>>(), certificates);
    assert_eq!(section.blobs().collect::<Vec<_>>(), [BLOB]);
    let plain = MetaFile::parse(&plain, crc32).unwrap();
    assert_eq!(plain.protection().unwrap().certificates().count(), 0);
}

#[test]
fn families_are_certified_once_and_in_order() {
    for certificates in [[certificate(2), certificate(2)], [certificate(9), certificate(2)]] {
        let (bytes, _) = encode_with(&certificates);
        let found = MetaFile::parse(&bytes, crc32).err();
        let structure = Structure::ProtectionSection;
        assert_eq!(found, Some(FormatError::OutOfOrder { structure, index: 1 }));
    }
}

#[test]
fn a_section_that_announces_certificates_has_one() {
    let (mut bytes, _) = encode();
    let section_end = bytes.len() - 12;
    let meta = MetaFile::parse(&bytes, crc32).unwrap();
    let start = meta.used_keys_range().end;
    bytes.truncate(section_end);
    bytes[start + 3] = 2;
    bytes.extend_from_slice(&[0; 4]);
    let len = u32::try_from(bytes.len() - start).unwrap();
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
    bytes.extend_from_slice(b"SSTP");
    let structure = Structure::ProtectionSection;
    assert_eq!(MetaFile::parse(&bytes, crc32).err(), Some(FormatError::Empty { structure }));
}
