extern crate std;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::path::Path;

use super::{ExplainOptions, Subject, ValueSlice, explain};
use crate::block::{BlockHeader, Encoding};
use crate::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use crate::current::Current;
use crate::filter::FilterBytes;
use crate::index_block::{IndexBlock, IndexBlockEncoder};
use crate::key_block::{KeyBlock, KeyBlockEncoder, KeyBlockShape};
use crate::meta_file::{MetaFile, MetaFileParts, TableParts};
use crate::meta_head::{
    BlockHeaders, CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3,
};
use crate::offset_table::{OffsetTable, encode_offset_table};
use crate::protection::{BlobRecord, LiveMeta};
use crate::value_ref::ValueRef;
use crate::{BlobNumber, BlockIndex, SequenceNumber, SstMeta, TableFlags, TableProtection};

/// A stand-in for CRC-32 that changes with every bit of the input (FNV-1a).
fn crc32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |sum: u32, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A stand-in for the hash of a key: its first eight bytes, so hashes have the order of the keys.
fn hash_key(key: &[u8]) -> u64 {
    let bytes = key.iter().copied().chain(core::iter::repeat(0));
    bytes.take(8).fold(0, |hash, byte| (hash << 8) | u64::from(byte))
}

fn options() -> ExplainOptions {
    ExplainOptions::default().crc32(crc32).hash_key(hash_key)
}

/// Bytes to explain, and a check of whether the codecs accept them.
struct Case {
    name: &'static str,
    subject: Subject<'static>,
    base: u64,
    bytes: Vec<u8>,
    is_valid: fn(&[u8]) -> bool,
}

impl Case {
    fn dump(&self, bytes: &[u8], options: &ExplainOptions) -> (String, bool) {
        let mut text = String::new();
        let damage = explain(self.subject, bytes, options, &mut text).unwrap();
        (text, damage.is_some())
    }
}

fn key_block(entries: &[(&[u8], ValueRef<'_>)]) -> Vec<u8> {
    let shape = entries.iter().fold(KeyBlockShape::default(), |shape, (key, value_ref)| {
        shape.with_entry(key.len(), value_ref.entry_type().unwrap()).unwrap()
    });
    let mut bytes = Vec::new();
    let mut encoder = KeyBlockEncoder::new(&shape, &mut bytes);
    for &(key, value_ref) in entries {
        encoder.push(hash_key(key), key, value_ref);
    }
    encoder.finish().unwrap();
    bytes
}

fn small(block: u16, len: u16, offset: u32) -> ValueRef<'static> {
    ValueRef::Small { block: BlockIndex(block), len, offset }
}

fn key_block_case(name: &'static str, entries: &[(&[u8], ValueRef<'_>)]) -> Case {
    let is_valid =
        |bytes: &[u8]| KeyBlock::parse(bytes).and_then(|block| block.validate(hash_key)).is_ok();
    Case { name, subject: Subject::KeyBlock, base: 0, bytes: key_block(entries), is_valid }
}

fn block_case(name: &'static str, subject: Subject<'static>, encoding: Encoding) -> Case {
    let payload = b"abcabcabcabcabcabc\n\xff";
    let header = BlockHeader { encoding, checksum: crc32(payload) };
    let bytes = [&header.to_bytes()[..], payload].concat();
    let is_valid = |bytes: &[u8]| {
        BlockHeader::parse(bytes).is_ok_and(|(header, payload)| header.checksum == crc32(payload))
    };
    Case { name, subject, base: 0, bytes, is_valid }
}

fn meta_file() -> Vec<u8> {
    let header =
        |n: u32| BlockHeader { encoding: Encoding::Lz4 { uncompressed_len: n }, checksum: n * 3 };
    let table = |block_count: u16, filter: &'static [u8]| SstMeta {
        block_count,
        min_hash: 1,
        max_hash: u64::MAX,
        file_size: 4711,
        flags: TableFlags::FRESH,
        filter: FilterBytes::new(filter),
        protection: Some(TableProtection {
            entry_count: 77,
            block_headers: (1..=u32::from(block_count)).map(header).collect(),
        }),
    };
    let raw = BlockHeader { encoding: Encoding::Raw, checksum: 9 };
    let parts = MetaFileParts {
        family: 2,
        obsolete: &[SequenceNumber(1)],
        tables: &[
            (SequenceNumber(4), table(2, b"first filter")),
            (SequenceNumber(5), table(1, b"")),
        ],
        live_metas: &[
            LiveMeta { sequence: SequenceNumber(2), checksum: 0xabcd },
            LiveMeta { sequence: SequenceNumber(7), checksum: 0 },
        ],
        blobs: &[BlobRecord { number: BlobNumber(6), file_size: 70_000_000, header: raw }],
        certificates: &[FamilyCertificate {
            family: 2,
            content: ContentDigest::from_bytes(&[7; CONTENT_DIGEST_LEN]),
        }],
    };
    parts.encode(crc32).unwrap().0
}

/// An extension with a lineage, a shard, the numbers of blobs, and a field of a later build.
const LATER: &[u8] = b"\0\0\0\x01\0\0\0\x08\0\0\0\x06\0\0\xab\xcd\
\0\0\0\x02\0\0\0\x24\0\0\0\x01\0\0\0\x02\
\x80\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x07\0\0\x12\x34\0\0\x56\x78\
\0\0\0\x03\0\0\0\x08\0\0\0\x01\0\0\0\0\0\0\0\x09\0\0\0\x05later";

/// The same meta file in version 3, with an extension.
fn headed_meta_file() -> Vec<u8> {
    let bytes = meta_file();
    let meta = MetaFile::parse(&bytes, crc32).unwrap();
    let section = meta.protection().unwrap();
    let protection = |table: &TableParts| table.description(&bytes).unwrap().protection.unwrap();
    let headers: Vec<_> =
        meta.described().unwrap().iter().map(|table| protection(table).block_headers).collect();
    let tables: Vec<DescribedTable<'_>> = meta
        .tables()
        .zip(&headers)
        .zip([&b"first filter"[..], b""])
        .map(|((record, headers), filter)| DescribedTable {
            record,
            entry_count: 77,
            filter,
            headers: BlockHeaders::Parsed(headers),
            filter_checksum: None,
            headers_checksum: None,
        })
        .collect();
    let listed = |live: LiveMeta| ListedMeta {
        sequence: live.sequence,
        checksum: live.checksum,
        family: 2,
        hashes: HashRange { min: 0x10, max: 0x20 },
    };
    let parts = MetaFileV3 {
        family: 2,
        obsolete: &[SequenceNumber(1)],
        tables: &tables,
        kind: CommitKind::Append,
        commit: SequenceNumber(7),
        live_metas: &section.live_metas().map(listed).collect::<Vec<_>>(),
        blobs: &section.blobs().collect::<Vec<_>>(),
        certificates: &section.certificates().collect::<Vec<_>>(),
        extension: LATER,
    };
    parts.encode(crc32).unwrap().0
}

fn meta_case(name: &'static str, bytes: Vec<u8>) -> Case {
    let is_valid = |bytes: &[u8]| MetaFile::parse(bytes, crc32).is_ok();
    Case { name, subject: Subject::MetaFile, base: 0, bytes, is_valid }
}

fn index_case() -> Case {
    let mut index = IndexBlockEncoder::new();
    for (hash, block) in [(7, 1), (0x0102, 3), (0x0103, 4)] {
        index.push(hash, BlockIndex(block));
    }
    Case {
        name: "index_block",
        subject: Subject::IndexBlock { block_count: 6 },
        base: 0,
        bytes: index.finish().unwrap(),
        is_valid: |bytes| IndexBlock::parse(bytes).and_then(|index| index.validate(6)).is_ok(),
    }
}

fn offset_case() -> Case {
    let mut bytes = Vec::new();
    encode_offset_table([8, 30, 0x10_0000], &mut bytes);
    Case {
        name: "offset_table",
        subject: Subject::OffsetTable,
        base: 0x10_0000,
        bytes,
        is_valid: |bytes| {
            let file_len = 0x10_0000 + bytes.len() as u64;
            let count = u16::try_from(bytes.len() / 4).unwrap();
            OffsetTable::parse(bytes, count, file_len).and_then(|table| table.starts()).is_ok()
        },
    }
}

fn current_case(name: &'static str, bytes: &[u8]) -> Case {
    let is_valid = |bytes: &[u8]| Current::parse(bytes, crc32).is_ok();
    Case { name, subject: Subject::Current, base: 0, bytes: bytes.to_vec(), is_valid }
}

/// Two values with a gap between them, a third one that lies within the second, and unused bytes at
/// the end.
const VALUES: [ValueSlice; 3] = [
    ValueSlice { offset: 0, len: 5 },
    ValueSlice { offset: 8, len: 17 },
    ValueSlice { offset: 9, len: 2 },
];

fn value_case() -> Case {
    Case {
        name: "value_block",
        subject: Subject::ValueBlock { values: &VALUES },
        base: 0,
        bytes: b"Hello...World, and good dayrest".to_vec(),
        is_valid: |bytes| bytes.len() >= 25,
    }
}

fn cases() -> Vec<Case> {
    let long_key = b"a key of more than thirty-two bytes has its hash stored";
    let meta = meta_file();
    let filters_end = MetaFile::parse(&meta, crc32).unwrap().used_keys_range().end;
    vec![
        block_case("block_raw", Subject::Block, Encoding::Raw),
        block_case("block_lz4", Subject::Block, Encoding::Lz4 { uncompressed_len: 4000 }),
        block_case("blob", Subject::Blob, Encoding::Raw),
        key_block_case(
            "key_block_variable",
            &[
                (b"", ValueRef::Deleted),
                (b"a", small(1, 100, 0x2000)),
                (b"blob", ValueRef::Blob(BlobNumber(9))),
                ("ключ".as_bytes(), ValueRef::Inline(b"\x00\xff")),
                (b"\xfe\xff", ValueRef::Medium(BlockIndex(3))),
            ],
        ),
        key_block_case(
            "key_block_variable_hash",
            &[(long_key, ValueRef::Inline(b"value")), (b"b", ValueRef::Inline(b""))],
        ),
        key_block_case("key_block_fixed", &[(b"k1", small(0, 9, 0)), (b"k2", small(0, 300, 9))]),
        key_block_case("key_block_fixed_hash", &[(long_key, ValueRef::Medium(BlockIndex(2)))]),
        index_case(),
        value_case(),
        offset_case(),
        meta_case("meta_file_original", meta[..filters_end].to_vec()),
        meta_case("meta_file", meta),
        meta_case("meta_file_headed", headed_meta_file()),
        current_case("current_original", &[0, 0, 1, 2]),
        current_case("current", &Current::encode(SequenceNumber(258), crc32)),
    ]
}

/// Compares `text` with a golden file. If `UPDATE_GOLDEN` is set, it writes the file first.
fn check_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/explain")
        .join(name)
        .with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{name}");
}

/// The bytes that the hex column of a dump shows.
fn shown_bytes(dump: &str) -> Vec<u8> {
    let fields = dump.lines().filter(|line| line.starts_with("  "));
    let hex = fields.filter_map(|line| line.trim_start().split_once("  ")).map(|(_, rest)| rest);
    let pairs = hex.flat_map(|rest| rest.split("  ").next().unwrap().split(' '));
    let pairs = pairs.filter(|pair| !pair.is_empty());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn dumps_are_as_in_the_golden_files() {
    for case in cases() {
        let (text, is_damaged) = case.dump(&case.bytes, &options().base(case.base));
        assert!(!is_damaged, "{text}");
        check_golden(case.name, &text);
    }
}

#[test]
fn damage_is_stated_as_in_the_golden_files() {
    let all = cases();
    let case = |name: &str| all.iter().find(|case| case.name == name).unwrap();
    for (name, file, at, byte) in [
        ("block_lz4", "damaged_block", 12, 0x7f),
        ("key_block_variable", "damaged_entry_type", 12, 5),
        ("key_block_fixed", "damaged_order", 17, 0),
        ("key_block_variable_hash", "damaged_hash", 12, 0x63),
        ("index_block", "damaged_index", 11, 0xff),
        ("offset_table", "damaged_offset", 4, 1),
        ("meta_file", "damaged_meta", 57, 0xff),
        ("current", "damaged_current", 3, 9),
    ] {
        let case = case(name);
        let mut bytes = case.bytes.clone();
        bytes[at] = byte;
        let (text, is_damaged) = case.dump(&bytes, &options().base(case.base));
        assert!(is_damaged, "{text}");
        check_golden(file, &text);
    }
    let json = current_case("", b"{\"version\": 2}");
    check_golden("current_json", &json.dump(&json.bytes, &options()).0);
}

#[test]
fn whatever_the_damage_every_byte_is_shown_once_and_the_codecs_agree() {
    for case in cases() {
        let options = options().base(case.base).full();
        let check = |bytes: &[u8]| {
            let (text, is_damaged) = case.dump(bytes, &options);
            assert_eq!(shown_bytes(&text), bytes, "{}\n{text}", case.name);
            assert_eq!(is_damaged, !(case.is_valid)(bytes), "{}\n{text}", case.name);
            assert_eq!(is_damaged, text.contains("\nerror: "), "{text}");
        };
        check(&case.bytes);
        for len in 0..case.bytes.len() {
            check(&case.bytes[..len]);
        }
        check(&[&case.bytes[..], &[0; 5]].concat());
        for bit in 0..case.bytes.len() * 8 {
            let mut damaged = case.bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            check(&damaged);
        }
    }
}

#[test]
fn damage_in_what_is_not_shown_is_found_too() {
    for case in cases() {
        for options in [options().base(case.base).limits(0, 0), options().base(case.base)] {
            for bit in 0..case.bytes.len() * 8 {
                let mut damaged = case.bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let (text, is_damaged) = case.dump(&damaged, &options);
                assert_eq!(is_damaged, !(case.is_valid)(&damaged), "{}\n{text}", case.name);
            }
        }
    }
}

#[test]
fn long_runs_and_fields_are_counted() {
    let keys: Vec<[u8; 2]> = (0..1000_u16).map(u16::to_be_bytes).collect();
    let entries: Vec<(&[u8], ValueRef<'_>)> =
        keys.iter().map(|key| (&key[..], ValueRef::Inline(&[7; 8]))).collect();
    let case = key_block_case("", &entries);
    let (text, is_damaged) = case.dump(&case.bytes, &options().limits(4, 3));
    assert!(!is_damaged, "{text}");
    check_golden("shortened_fixed", &text);

    let mut entries = entries;
    entries[0].1 = ValueRef::Deleted;
    let case = key_block_case("", &entries);
    let (text, is_damaged) = case.dump(&case.bytes, &options().limits(4, 3));
    assert!(!is_damaged, "{text}");
    check_golden("shortened_variable", &text);
}

#[test]
fn without_checksum_and_hash_function_there_is_less_to_say() {
    for case in cases() {
        let options = ExplainOptions::default().base(case.base).full();
        let (text, is_damaged) = case.dump(&case.bytes, &options);
        assert!(!is_damaged, "{text}");
        assert_eq!(shown_bytes(&text), case.bytes);
        assert!(!text.contains("matches"), "{text}");
    }
}

#[test]
fn a_sink_that_takes_no_more_ends_the_dump() {
    struct Full(usize);
    impl core::fmt::Write for Full {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(core::fmt::Error)?;
            Ok(())
        }
    }
    for case in cases() {
        let options = options().base(case.base);
        let (text, _) = case.dump(&case.bytes, &options);
        for room in 0..text.len() {
            assert!(explain(case.subject, &case.bytes, &options, &mut Full(room)).is_err());
        }
        assert!(explain(case.subject, &case.bytes, &options, &mut Full(text.len())).is_ok());
    }
}
