use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::block::{BlockHeader, Encoding};
use crate::content_digest::ContentDigest;
use crate::meta_file::MetaFile;
use crate::protection::{BlobRecord, LiveMeta};
use crate::{BlobNumber, TableFlags};

/// A stand-in for CRC-32 that changes with every bit of the input (FNV-1a).
fn crc32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |sum: u32, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn header(n: u32) -> BlockHeader {
    BlockHeader { encoding: Encoding::Lz4 { uncompressed_len: n }, checksum: n * 3 }
}

const HEADERS: [BlockHeader; 3] = [
    BlockHeader { encoding: Encoding::Raw, checksum: 1 },
    BlockHeader { encoding: Encoding::Lz4 { uncompressed_len: 20 }, checksum: 2 },
    BlockHeader { encoding: Encoding::Raw, checksum: 3 },
];

const BLOB: BlobRecord = BlobRecord {
    number: BlobNumber(3),
    file_size: 0x0102_0304_0506,
    header: BlockHeader { encoding: Encoding::Raw, checksum: 9 },
};

fn table<'a>(sequence: u32, headers: &'a [BlockHeader], filter: &'a [u8]) -> DescribedTable<'a> {
    DescribedTable {
        record: TableRecord {
            sequence: SequenceNumber(sequence),
            block_count: u16::try_from(headers.len()).unwrap(),
            min_hash: 5,
            max_hash: u64::from(sequence) << 40,
            file_size: 1 << 33,
            flags: TableFlags::COLD,
            filter_end: 0,
        },
        entry_count: u64::from(sequence) * 10,
        filter,
        headers: BlockHeaders::Parsed(headers),
        filter_checksum: None,
        headers_checksum: None,
    }
}

const LISTED: [ListedMeta; 2] = [
    ListedMeta {
        sequence: SequenceNumber(2),
        checksum: 0xabcd,
        family: 7,
        hashes: HashRange { min: 3, max: 4 },
    },
    ListedMeta { sequence: SequenceNumber(9), checksum: 0, family: 2, hashes: HashRange::FULL },
];

fn certificate(family: u32) -> FamilyCertificate {
    FamilyCertificate { family, content: ContentDigest::from_bytes(&[8; 48]) }
}

/// An extension with a field of a later build.
const LATER: &[u8] = b"\0\0\0\x09\0\0\0\x05later";

/// A meta file with every kind of field.
fn encoded() -> Vec<u8> {
    let tables = [
        table(4, &HEADERS[..2], b"first"),
        table(5, &HEADERS, b""),
        table(6, &HEADERS[..1], b"3rd"),
    ];
    let parts = MetaFileV3 {
        family: 2,
        obsolete: &[SequenceNumber(1)],
        tables: &tables,
        kind: CommitKind::Merge,
        commit: SequenceNumber(9),
        live_metas: &LISTED,
        blobs: &[BLOB],
        certificates: &[certificate(2), certificate(7)],
        extension: LATER,
    };
    let (bytes, checksum) = parts.encode(crc32).unwrap();
    assert_eq!(Trailer::parse(&bytes).unwrap().checksum, checksum);
    bytes
}

/// The two ranges of a meta file that are its head, found as a reader finds them.
fn ends(bytes: &[u8]) -> (&[u8], &[u8]) {
    let file_len = bytes.len() as u64;
    let location =
        HeadLocation::parse(&bytes[bytes.len() - HEAD_LOCATION_LEN..], file_len).unwrap();
    let slice = |range: Range<u64>| {
        &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    };
    (slice(location.start_range()), slice(location.end_range()))
}

fn area<'a>(bytes: &'a [u8], area: &Area) -> &'a [u8] {
    area.verified_in(bytes, crc32).unwrap()
}

#[test]
fn a_head_tells_everything_but_what_its_areas_hold() {
    let bytes = encoded();
    let (start, end) = ends(&bytes);
    let head = MetaHead::parse(start, end, bytes.len() as u64, crc32).unwrap();
    assert_eq!((head.family(), head.kind(), head.commit().0), (2, CommitKind::Merge, 9));
    assert_eq!(head.obsolete().collect::<Vec<_>>(), [SequenceNumber(1)]);
    assert_eq!(head.extension(), LATER);
    assert_eq!(head.certificates().collect::<Vec<_>>(), [certificate(2), certificate(7)]);
    assert_eq!(
        head.checksum(),
        MetaFile::parse(&bytes, crc32).unwrap().protection().unwrap().checksum()
    );
    let tables: Vec<HeadTable> = head.tables().collect();
    let counts: Vec<_> = tables.iter().map(|t| (t.record.sequence.0, t.entry_count)).collect();
    assert_eq!(counts, [(4, 40), (5, 50), (6, 60)]);
    let filters: Vec<_> = tables.iter().map(|t| area(&bytes, &t.filter)).collect();
    assert_eq!(filters, [&b"first"[..], b"", b"3rd"]);
    for (table, count) in tables.iter().zip([2, 3, 1]) {
        let headers = area(&bytes, &table.headers).as_chunks().0.iter();
        let headers: Vec<_> = headers.map(|bytes| BlockHeader::from_bytes(*bytes)).collect();
        assert_eq!(headers, HEADERS[..count]);
    }
    assert!(head.used_keys().is_empty());
    let blobs = BlobRecord::parse_list(area(&bytes, &head.blobs())).unwrap();
    assert_eq!(blobs.collect::<Vec<_>>(), [BLOB]);
    assert_eq!(ListedMeta::parse_list(area(&bytes, &head.live_metas())).unwrap(), LISTED);
}

#[test]
fn a_whole_file_says_the_same_as_in_any_other_version() {
    let bytes = encoded();
    let meta = MetaFile::parse(&bytes, crc32).unwrap();
    let section = meta.protection().unwrap();
    let live: Vec<LiveMeta> = section.live_metas().collect();
    assert_eq!(live, LISTED.map(LiveMeta::from));
    assert_eq!(section.listed_metas().unwrap().collect::<Vec<_>>(), LISTED);
    assert_eq!(section.blobs().collect::<Vec<_>>(), [BLOB]);
    assert_eq!(section.certificates().count(), 2);
    let tables = meta.described().unwrap();
    for ((table, count), entries) in tables.iter().zip([2, 3, 1]).zip([40, 50, 60]) {
        let protection = table.description(&bytes).unwrap().protection.unwrap();
        assert_eq!(*protection.block_headers, HEADERS[..count]);
        assert_eq!(protection.entry_count, entries);
    }
    assert_eq!(tables.len(), 3);
}

/// Each flipped bit is found by reading the part that it is in; reading the whole file finds every
/// one.
#[test]
fn every_flipped_bit_is_found_where_it_is_read() {
    let bytes = encoded();
    let (start, end) = ends(&bytes);
    let (start_len, core_start) = (start.len(), bytes.len() - end.len());
    let intact = MetaHead::parse(start, end, bytes.len() as u64, crc32).unwrap();
    let areas: Vec<Area> = intact
        .tables()
        .flat_map(|table| [table.filter, table.headers])
        .chain([intact.used_keys(), intact.blobs(), intact.live_metas()])
        .collect();
    for bit in 0..bytes.len() * 8 {
        let (at, mut damaged) = (bit / 8, bytes.clone());
        damaged[at] ^= 1 << (bit % 8);
        assert!(MetaFile::parse(&damaged, crc32).is_err(), "bit {bit}");
        let head = MetaHead::parse(
            &damaged[..start_len],
            &damaged[core_start..],
            bytes.len() as u64,
            crc32,
        );
        let is_version = (start_len + 8..start_len + 12).contains(&at);
        let checksum = bytes.len() - 8..bytes.len() - 4;
        if at < start_len || (at >= core_start && !checksum.contains(&at)) {
            assert!(head.is_err(), "bit {bit}");
        } else if checksum.contains(&at) {
            // A newer commit's list of meta files, or the commit's identity, finds this one.
            assert_ne!(head.unwrap().checksum(), intact.checksum());
        } else {
            let is_found = |area: &Area| area.verified_in(&damaged, crc32).is_err();
            assert_eq!(
                areas.iter().filter(|area| is_found(area)).count(),
                usize::from(!is_version)
            );
        }
    }
}

#[test]
fn every_other_length_is_found() {
    let bytes = encoded();
    let filters_end = MetaFile::parse(&bytes, crc32).unwrap().used_keys_range().end;
    for len in (0..bytes.len()).filter(|len| *len != filters_end) {
        assert!(MetaFile::parse(&bytes[..len], crc32).is_err(), "{len}");
        let (cut, file_len) = (&bytes[..len], len as u64);
        if let Some(location) = HeadLocation::parse(cut, file_len) {
            let start = usize::try_from(location.start_range().end).unwrap();
            let end = usize::try_from(location.end_range().start).unwrap();
            assert!(MetaHead::parse(&cut[..start], &cut[end..], file_len, crc32).is_err(), "{len}");
        }
    }
}

/// Makes all checksums of a meta file right again, given where its head is.
fn repair(bytes: &mut [u8], core_start: usize, start_len: usize) {
    let put = |bytes: &mut [u8], at: usize, word: u32| {
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    };
    let len = bytes.len();
    let start_checksum = crc32(&bytes[..start_len]);
    put(bytes, len - HEAD_LOCATION_LEN + 4, start_checksum);
    let core_checksum = crc32(&bytes[core_start..len - TRAILER_LEN - 4]);
    put(bytes, len - TRAILER_LEN - 4, core_checksum);
    let checksum = crc32(&bytes[..len - 8]);
    put(bytes, len - 8, checksum);
}

#[test]
fn hostile_numbers_with_right_checksums_never_panic() {
    let bytes = encoded();
    let (start, end) = ends(&bytes);
    let (start_len, core_start) = (start.len(), bytes.len() - end.len());
    for at in 0..bytes.len() - 2 {
        for value in [[0, 0], [0, 1], [0xff, 0xff], [0x7f, 0xff]] {
            let mut hostile = bytes.clone();
            hostile[at..at + 2].copy_from_slice(&value);
            repair(&mut hostile, core_start, start_len);
            let len = hostile.len() as u64;
            if let Some(location) = HeadLocation::parse(&hostile, len) {
                assert!(location.start_range().end <= len && location.end_range().start <= len);
            }
            let head = MetaHead::parse(&hostile[..start_len], &hostile[core_start..], len, crc32);
            if let Ok(head) = head {
                assert!(
                    head.tables()
                        .all(|t| t.filter.range().end <= len && t.headers.range().end <= len)
                );
                assert!(head.blobs().range().end <= len && head.live_metas().range().end <= len);
            }
            if let Ok(meta) = MetaFile::parse(&hostile, crc32) {
                assert_eq!(meta.described().unwrap().len(), 3);
            }
        }
    }
}

#[test]
fn tables_are_described_again_from_borrowed_bytes() {
    let bytes = encoded();
    let (start, end) = ends(&bytes);
    let head = MetaHead::parse(start, end, bytes.len() as u64, crc32).unwrap();
    let described = |table: &HeadTable| DescribedTable {
        record: table.record,
        entry_count: table.entry_count,
        filter: area(&bytes, &table.filter),
        headers: BlockHeaders::Stored(area(&bytes, &table.headers)),
        filter_checksum: Some(table.filter.checksum()),
        headers_checksum: Some(table.headers.checksum()),
    };
    let tables: Vec<_> = head.tables().map(|table| described(&table)).collect();
    let mut parts = MetaFileV3 {
        family: 2,
        obsolete: &[SequenceNumber(1)],
        tables: &tables,
        kind: CommitKind::Merge,
        commit: SequenceNumber(9),
        live_metas: &LISTED,
        blobs: &[BLOB],
        certificates: &[certificate(2), certificate(7)],
        extension: LATER,
    };
    assert_eq!(parts.encode(crc32).unwrap().0, bytes);

    // Bytes that were damaged on the way are not written.
    let mut damaged = tables.clone();
    damaged[2].filter = b"3rb";
    parts.tables = &damaged;
    let error = parts.encode(crc32).unwrap_err();
    let is_filter =
        |error| matches!(error, FormatError::ChecksumMismatch { structure: Structure::Filter, .. });
    assert!(is_filter(error));
    // Nor is a table described twice.
    let twice = [tables[0], tables[1], tables[0]];
    parts.tables = &twice;
    let structure = Structure::MetaFile;
    assert_eq!(parts.encode(crc32).unwrap_err(), FormatError::OutOfOrder { structure, index: 2 });
}

#[test]
fn a_table_without_its_block_headers_cannot_be_described() {
    let mut described = table(4, &HEADERS[..2], b"");
    described.record.block_count = 3;
    let parts = MetaFileV3 {
        family: 0,
        obsolete: &[],
        tables: &[described],
        kind: CommitKind::Load,
        commit: SequenceNumber(5),
        live_metas: &[],
        blobs: &[],
        certificates: &[],
        extension: &[],
    };
    let structure = Structure::BlockHeaders;
    let error = FormatError::WrongLen { structure, expected: 24, found: 16 };
    assert_eq!(parts.encode(crc32).unwrap_err(), error);
}

/// A head takes at most 64 bytes for each table, however large its filter and however many its
/// blocks.
#[test]
fn a_head_is_small() {
    let headers: Vec<BlockHeader> = (0..100).map(header).collect();
    let filter = vec![7; 10_000];
    let tables: Vec<_> = (0..100).map(|sequence| table(sequence + 1, &headers, &filter)).collect();
    let parts = MetaFileV3 {
        family: 0,
        obsolete: &[],
        tables: &tables,
        kind: CommitKind::Append,
        commit: SequenceNumber(200),
        live_metas: &[],
        blobs: &[],
        certificates: &[],
        extension: &[],
    };
    let (bytes, _) = parts.encode(crc32).unwrap();
    let (start, end) = ends(&bytes);
    assert!(start.len() + end.len() <= 64 * tables.len() + 128, "{} + {}", start.len(), end.len());
    assert!(bytes.len() > 1_000_000);
}

#[test]
fn kinds_are_numbers_that_later_builds_may_add_to() {
    for number in [0, 1, 2, 3, 4, u32::MAX] {
        assert_eq!(CommitKind::from_number(number).number(), number);
    }
    assert_eq!(CommitKind::from_number(4), CommitKind::Other(4));
}

#[test]
fn lists_are_in_order_and_of_ranges_that_can_be() {
    let encode = |listed: &[ListedMeta]| {
        let mut bytes = Vec::new();
        listed.iter().for_each(|meta| meta.encode(&mut bytes));
        bytes
    };
    let structure = Structure::MetaList;
    let error = FormatError::OutOfOrder { structure, index: 1 };
    let [first, last] = LISTED;
    assert_eq!(ListedMeta::parse_list(&encode(&[last, first])).unwrap_err(), error);
    assert_eq!(ListedMeta::parse_list(&encode(&[first, first])).unwrap_err(), error);
    let none = ListedMeta { hashes: HashRange::EMPTY, ..first };
    assert_eq!(ListedMeta::parse_list(&encode(&[none, last])).unwrap(), [none, last]);
    let turned = ListedMeta { hashes: HashRange { min: 4, max: 3 }, ..first };
    let error = FormatError::EmptyHashRange { min_hash: 4, max_hash: 3 };
    assert_eq!(ListedMeta::parse_list(&encode(&[turned])).unwrap_err(), error);
    let error = FormatError::WrongLen { structure, expected: 28, found: 29 };
    assert_eq!(ListedMeta::parse_list(&[&encode(&[first])[..], &[0]].concat()).unwrap_err(), error);
}

#[test]
fn ranges_meet_where_they_share_a_hash() {
    let range = |min, max| HashRange { min, max };
    assert!(range(3, 5).overlaps(range(5, 9)) && range(5, 9).overlaps(range(3, 5)));
    assert!(!range(3, 4).overlaps(range(5, 9)) && !range(5, 9).overlaps(range(3, 4)));
    assert!(
        !HashRange::EMPTY.overlaps(HashRange::FULL) && !HashRange::FULL.overlaps(HashRange::EMPTY)
    );
    assert_eq!(HashRange::EMPTY.union(range(3, 4)).union(range(8, 9)), range(3, 9));
}
