//! Fixed tables, written and read back on machines of 32 and 64 bits, little- and big-endian.
//!
//! Compressed tables have the same bytes on all 64-bit little-endian machines. Uncompressed tables
//! have the same bytes on all machines, and every machine reads tables from any other.
//!
//! The test uses no file system, so that it runs under Miri for any target: `cargo xtask miri`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fmt::Write as _;

use sst_amqf::QuotientFilter;
use sst_conformance::digest::sha256;
use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_format::current::Current;
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_reader::{BlockCache, Lookup, ReadValue, ReaderOptions, Slice, StaticSortedFile};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriterOptions};

/// Number of entries of each of the [`tables`].
type Counts = [u32; 6];

const MANY: Counts = [1, 300, 260, 42, 21, 3];
/// The same structures with fewer entries, for Miri. Every kind of value occurs.
const FEW: Counts = [1, 24, 12, 7, 7, 2];

/// Digests of the written tables, and of those with [`FEW`] entries.
const DIGESTS: &str = include_str!("../vectors/portable.txt");
const DIGESTS_OF_FEW: &str = include_str!("../vectors/portable_few.txt");

/// A value of about `len` bytes that LZ4 compresses.
fn text(i: u32, len: usize) -> Vec<u8> {
    let mut random = SplitMix::new(i.into());
    let mut text = Vec::new();
    while text.len() < len {
        let word = random.word();
        text.extend_from_slice(match word % 3 {
            0 => b"the quick brown fox ",
            1 => b"jumps over the lazy dog ",
            _ => b"0123456789",
        });
        text.extend_from_slice(&word.to_be_bytes()[..(word % 7) as usize]);
    }
    text.truncate(len);
    text
}

fn inline(i: u32, len: usize) -> TestValue {
    TestValue::Inline(text(i, len))
}

/// A value for entry `i`, of each kind in turn.
fn any(i: u32) -> TestValue {
    match i % 7 {
        0 => TestValue::Small(text(i, 300)),
        1 => TestValue::Small(Vec::new()),
        2 => TestValue::Medium(text(i, 1500)),
        3 => TestValue::Medium(SplitMix::new(i.into()).bytes(300)),
        4 => TestValue::Blob(i),
        5 => TestValue::Deleted,
        _ => inline(i, i as usize % 9),
    }
}

/// Tables with every kind of key block and every kind of value.
fn tables(
    [one, fixed, fixed_hashed, variable, variable_hashed, long_keys]: Counts,
) -> Vec<(&'static str, Vec<TestEntry>)> {
    let table = |count: u32, entry: &dyn Fn(u32) -> TestEntry| {
        let mut entries: Vec<_> = (0..count).map(entry).collect();
        TestEntry::sort(&mut entries);
        entries
    };
    let long =
        |i: u32| [format!("a key of more than 32 bytes: {i:05}").into_bytes(), text(i, 3)].concat();
    vec![
        ("one entry", table(one, &|i| TestEntry::new(b"key".to_vec(), inline(i, 8)))),
        ("fixed", table(fixed, &|i| TestEntry::new(i.to_be_bytes(), inline(i, 4)))),
        ("fixed with hashes", table(fixed_hashed, &|i| TestEntry::new(long(i), inline(i, 8)))),
        (
            "variable",
            table(variable, &|i| {
                TestEntry::new([&i.to_be_bytes()[2..], &text(i, i as usize % 30)].concat(), any(i))
            }),
        ),
        (
            "variable with hashes",
            table(variable_hashed, &|i| {
                TestEntry::new([long(i), text(i, i as usize)].concat(), any(i))
            }),
        ),
        (
            "empty keys and long ones",
            table(long_keys, &|i| TestEntry::new(vec![b'k'; 300 * i as usize], any(i))),
        ),
    ]
}

fn write(entries: &[TestEntry], compression: Compression) -> (Vec<u8>, SstMeta) {
    let options =
        WriterOptions::default().compression(compression).filter(QuotientFilter::default());
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    for entry in entries {
        writer.add(entry).unwrap();
    }
    let finished = writer.finish().unwrap();
    (finished.output, finished.meta)
}

/// Whether LZ4 compresses to the reference bytes. On other machines it finds other repetitions.
const IS_REFERENCE_MACHINE: bool = cfg!(all(target_pointer_width = "64", target_endian = "little"));

/// The lines of `digests` that must be equal on this machine.
fn comparable(digests: &str) -> impl Iterator<Item = &str> {
    digests.lines().filter(|line| IS_REFERENCE_MACHINE || !line.contains(", Lz4: "))
}

/// The digests of all written tables and meta files.
fn digests(counts: Counts) -> String {
    let mut lines = String::new();
    let mut described = Vec::new();
    for (name, entries) in tables(counts) {
        for compression in [Compression::Lz4, Compression::None] {
            let (bytes, meta) = write(&entries, compression);
            let (file, filter) = (sha256(&bytes), sha256(meta.filter.as_slice()));
            writeln!(
                lines,
                "{name}, {compression:?}: {} bytes {file}, filter {filter}",
                bytes.len()
            )
            .unwrap();
            if compression == Compression::None {
                let sequence = u32::try_from(described.len()).unwrap() + 1;
                described.push((SequenceNumber(sequence), meta));
            }
        }
    }
    let header = described[0].1.protection.as_ref().unwrap().block_headers[0];
    let this = SequenceNumber(100);
    let parts = MetaFileParts {
        family: 3,
        obsolete: &[SequenceNumber(7), SequenceNumber(70_000)],
        tables: &described,
        live_metas: &[LiveMeta { sequence: this, checksum: 0 }],
        blobs: &[BlobRecord { number: BlobNumber(9), file_size: 1 << 33, header }],
        certificates: &[],
    };
    let (meta, _) = parts.encode(crc32fast::hash).unwrap();
    assert!(MetaFile::parse(&meta, crc32fast::hash).unwrap().protection().is_some());
    writeln!(lines, "meta file: {} bytes {}", meta.len(), sha256(&meta)).unwrap();
    writeln!(lines, "CURRENT: {}", sha256(&Current::encode(this, crc32fast::hash))).unwrap();
    lines
}

#[test]
#[cfg_attr(miri, ignore = "takes an interpreter too long; that of few entries does the same")]
fn fixed_tables_have_the_same_bytes() {
    let found = digests(MANY);
    assert!(
        comparable(&found).eq(comparable(DIGESTS)),
        "conformance/vectors/portable.txt is to hold:\n{found}"
    );
}

#[test]
fn fixed_tables_of_few_entries_have_the_same_bytes() {
    let found = digests(FEW);
    assert!(
        comparable(&found).eq(comparable(DIGESTS_OF_FEW)),
        "conformance/vectors/portable_few.txt is to hold:\n{found}"
    );
}

#[test]
fn tables_in_memory_return_the_written_entries() {
    for (name, entries) in tables(if cfg!(miri) { FEW } else { MANY }) {
        for compression in [Compression::Lz4, Compression::None] {
            let (bytes, meta) = write(&entries, compression);
            let options = ReaderOptions::default()
                .filter(QuotientFilter::default())
                .cache(BlockCache::new(20_000));
            let table = StaticSortedFile::from_bytes(name, bytes, Some(&meta), &options).unwrap();
            for entry in &entries {
                check(&table.lookup(entry.hash, &entry.key).unwrap(), &entry.value);
            }
            assert_eq!(table.iter().count(), entries.len());
            for (entry, expected) in table.iter().zip(&entries) {
                let entry = entry.unwrap();
                assert_eq!((entry.hash, &*entry.key), (expected.hash, &*expected.key));
                check(&lookup_of(entry.value), &expected.value);
            }
            assert_eq!(table.lookup(1, b"absent").unwrap(), Lookup::NotFound);
            // Many keys in one call, which prefetches memory.
            let keys: Vec<_> = entries.iter().map(|entry| &entry.key).collect();
            let found = table.multi_get(&keys);
            assert_eq!(found.len(), keys.len());
            for (found, entry) in found.into_iter().zip(&entries) {
                check(&found.unwrap(), &entry.value);
            }
            assert!(table.verify(&sst_reader::Monitor::default()).unwrap().is_intact());
        }
    }
}

#[test]
fn a_compressed_table_of_a_64_bit_little_endian_machine_is_read() {
    let bytes = include_bytes!("../vectors/reference/keylen-16.sst").to_vec();
    let entries = include_str!("../vectors/reference/keylen-16.tsv");
    let table =
        StaticSortedFile::from_bytes("keylen-16", bytes, None, &ReaderOptions::default()).unwrap();
    let unhex = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
        digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
    };
    let mut found = table.iter();
    for line in entries.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [hash, key, "inline", value] = columns[..] else { panic!("{line}") };
        let value = unhex(value.strip_prefix("x:").unwrap());
        let entry = found.next().unwrap().unwrap();
        assert_eq!(entry.hash, u64::from_str_radix(hash, 16).unwrap());
        assert_eq!(&*entry.key, unhex(key));
        check(&lookup_of(entry.value), &TestValue::Inline(value));
    }
    assert!(found.next().is_none());
}

fn lookup_of(value: ReadValue<Slice<'_>>) -> Lookup<'_> {
    match value {
        ReadValue::Value(value) => Lookup::Value(value),
        ReadValue::Blob(number) => Lookup::Blob(number),
        ReadValue::Deleted => Lookup::Deleted,
    }
}

/// Checks a value, also after it was detached from the table.
fn check(found: &Lookup<'_>, expected: &TestValue) {
    match (found, expected) {
        (Lookup::Blob(number), TestValue::Blob(expected)) => assert_eq!(number.0, *expected),
        (Lookup::Deleted, TestValue::Deleted) => {}
        (Lookup::Value(value), expected) => {
            assert_eq!(Some(value.as_slice()), expected.bytes());
            assert_eq!(Some(value.clone().into_owned().as_slice()), expected.bytes());
        }
        _ => panic!("{found:?} where {expected:?} was written"),
    }
}
