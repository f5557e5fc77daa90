//! The round-trip matrix: our reader must return the entries that our writer accepted, for every
//! kind of value in every kind of key block, at sizes and counts around every limit.

use sst_amqf::QuotientFilter;
use sst_format::key_block::{Hashes, KeyBlockKind};
use sst_format::limits::{
    KEY_BLOCK_ENTRIES, KEY_BLOCK_SIZE, MAX_FIXED_KEY_LEN, MAX_INLINE_LEN, MAX_KEY_LEN,
    MAX_MEDIUM_VALUE_LEN, MAX_SMALL_LEN, MAX_SMALL_VALUE_LEN, VALUE_BLOCK_SIZE,
};
use sst_reader::{Access, ReaderOptions, StaticSortedFile, hash_key};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriteError, WriterOptions};

use crate::reader_vectors::check_contents;
use crate::{CheckError, Row, SplitMix, TestEntry, TestValue, fail};

/// The parts of the matrix. Each makes one row.
pub const PARTS: [fn() -> Row; 5] = [kinds, value_lens, key_lens, counts, duplicates];

const KEY_BLOCK_KINDS: [KeyBlockKind; 4] = [
    KeyBlockKind::Variable(Hashes::Stored),
    KeyBlockKind::Variable(Hashes::Computed),
    KeyBlockKind::Fixed(Hashes::Stored),
    KeyBlockKind::Fixed(Hashes::Computed),
];

/// A value of the named kind. It has `len` bytes if its kind does not fix the length.
fn value_of(kind: &str, len: usize, random: &mut SplitMix) -> TestValue {
    match kind {
        "inline" => TestValue::Inline(random.bytes(len.min(MAX_INLINE_LEN))),
        "small" => TestValue::Small(random.half_random(len)),
        "medium" => TestValue::Medium(random.half_random(len)),
        "raw, plain" => {
            let value = random.bytes(len);
            TestValue::Raw { block: value.clone(), value, uncompressed_size: 0 }
        }
        "raw, lz4" => {
            let value = random.half_random(len.max(64));
            let block = lz4_flex::block::compress(&value);
            let uncompressed_size = as_u32(value.len());
            TestValue::Raw { value, uncompressed_size, block }
        }
        "blob" => {
            let [a, b, c, d, ..] = random.word().to_be_bytes();
            TestValue::Blob(u32::from_be_bytes([a, b, c, d]))
        }
        _ => TestValue::Deleted,
    }
}

const VALUE_KINDS: [&str; 7] =
    ["inline", "small", "medium", "raw, plain", "raw, lz4", "blob", "deleted"];

/// Every kind of value in every kind of key block, with and without compression, few and many
/// entries.
fn kinds() -> Row {
    let mut row = Row::new("round trip: value kinds × key block kinds");
    for value_kind in VALUE_KINDS {
        for key_block_kind in KEY_BLOCK_KINDS {
            for count in [1, 2, 3, 100, 2000] {
                for compression in [Compression::Lz4, Compression::None] {
                    let mut random = SplitMix::new(count);
                    let entries: Vec<TestEntry> = (0..count)
                        .map(|i| {
                            let key = key_for(key_block_kind, i, &mut random);
                            TestEntry::new(key, value_of(value_kind, 40, &mut random))
                        })
                        .collect();
                    for block_size in BLOCK_SIZES {
                        let options = WriterOptions::default().compression(compression);
                        let options = match block_size {
                            None => options,
                            Some(size) => options.value_block_size(size).key_block_size(size),
                        };
                        let name = format!(
                            "{count} × {value_kind} in {}, {compression:?}, blocks of {block_size:?}",
                            key_block_kind.name()
                        );
                        // A block of one entry is always fixed.
                        let has_company = count > 1 && block_size != Some(1);
                        let expected = has_company.then_some(key_block_kind);
                        row.count(&name, round_trip(&mut entries.clone(), options, expected));
                    }
                }
            }
        }
    }
    row
}

/// Sizes of key blocks and value blocks: the default, a block for each entry, and others.
const BLOCK_SIZES: [Option<usize>; 4] = [None, Some(1), Some(4 << 10), Some(1 << 20)];

/// A key that makes its block of the given kind, if the block has more than one entry.
fn key_for(kind: KeyBlockKind, i: u64, random: &mut SplitMix) -> Vec<u8> {
    // For a variable block, keys with even and with odd numbers have different lengths.
    let len = match (kind, i % 2) {
        (KeyBlockKind::Fixed(Hashes::Computed), _) => 16,
        (KeyBlockKind::Fixed(Hashes::Stored), _) => 40,
        (KeyBlockKind::Variable(Hashes::Computed), 0) => 17,
        (KeyBlockKind::Variable(Hashes::Computed), _) => 32,
        (KeyBlockKind::Variable(Hashes::Stored), 0) => 33,
        (KeyBlockKind::Variable(Hashes::Stored), _) => 47,
    };
    let mut key = i.to_be_bytes().to_vec();
    key.extend(random.bytes(len - 8));
    key
}

/// A value of every length around every limit, alone and among others. Longer values must be
/// refused.
fn value_lens() -> Row {
    let mut row = Row::new("round trip: value lengths around limits");
    let around = |limit: usize| [limit - 1, limit, limit + 1];
    let cases: [(&str, Vec<usize>, usize); 4] = [
        ("inline", (0..=MAX_INLINE_LEN + 1).collect(), MAX_INLINE_LEN),
        (
            "small",
            [
                vec![0, 1],
                around(MAX_SMALL_VALUE_LEN).into(),
                around(VALUE_BLOCK_SIZE).into(),
                around(MAX_SMALL_LEN).into(),
            ]
            .concat(),
            MAX_SMALL_LEN,
        ),
        (
            "medium",
            [vec![0, 1], around(MAX_SMALL_VALUE_LEN).into(), around(1 << 20).into()].concat(),
            MAX_MEDIUM_VALUE_LEN,
        ),
        ("medium", around(MAX_MEDIUM_VALUE_LEN).into(), MAX_MEDIUM_VALUE_LEN),
    ];
    for (kind, lens, longest) in cases {
        for len in lens {
            // The longest values are slow, so they are tried with only one number of neighbours.
            for &others in if len < MAX_MEDIUM_VALUE_LEN - 1 { &[0, 3][..] } else { &[3] } {
                let mut random = SplitMix::new(len as u64);
                let bytes = random.half_random(len);
                let value = match kind {
                    "inline" => TestValue::Inline(bytes),
                    "small" => TestValue::Small(bytes),
                    _ => TestValue::Medium(bytes),
                };
                let mut entries = vec![TestEntry::new("the key", value)];
                entries.extend((0..others).map(|i: u8| {
                    TestEntry::new([b'k', i], TestValue::Small(random.half_random(100)))
                }));
                let result = round_trip(&mut entries, WriterOptions::default(), None);
                let name = format!("{kind} of {len} bytes among {others}");
                row.count(&name, expect(result, len <= longest));
            }
        }
    }
    row
}

/// Keys of every length around every limit.
fn key_lens() -> Row {
    let mut row = Row::new("round trip: key lengths around limits");
    let around = |limit: usize| [limit - 1, limit, limit + 1];
    let lens = [
        vec![0, 1],
        around(16).into(),
        around(32).into(),
        around(MAX_FIXED_KEY_LEN).into(),
        around(KEY_BLOCK_SIZE - 20).into(),
        around(MAX_KEY_LEN).into(),
    ];
    for len in lens.concat() {
        for others in [0, 20] {
            let mut random = SplitMix::new(len as u64);
            let mut entries = vec![TestEntry::new(random.bytes(len), TestValue::Inline(vec![7]))];
            entries.extend((0..others).map(|i: u8| {
                let value = TestValue::Small(random.half_random(30));
                TestEntry::new([random.bytes(12), vec![i]].concat(), value)
            }));
            let result = round_trip(&mut entries, WriterOptions::default(), None);
            let name = format!("key of {len} bytes among {others}");
            row.count(&name, expect(result, len <= MAX_KEY_LEN));
        }
    }
    row
}

/// Numbers of entries around the ends of key blocks and value blocks.
fn counts() -> Row {
    let mut row = Row::new("round trip: entry counts around limits");
    let most = KEY_BLOCK_ENTRIES as usize;
    for (key_len, per_block) in [(4, 682), (8, 585), (16, 455), (32, 315), (33, 309), (255, 59)] {
        for count in [per_block - 1, per_block, per_block + 1, 2 * per_block, 2 * per_block + 1] {
            for value in [TestValue::Inline(vec![1; 8]), TestValue::Deleted] {
                let name = format!("{count} keys of {key_len} bytes");
                let mut entries = numbered(count, key_len, &value);
                row.count(&name, round_trip(&mut entries, WriterOptions::default(), None));
            }
        }
    }
    // Value blocks: values whose total length is close to the limit.
    for value_len in [VALUE_BLOCK_SIZE / 2 - 1, VALUE_BLOCK_SIZE / 2, 1023, 1024, 1025, 4096] {
        for count in [1, 2, 3, 7, 8, 9, 17] {
            let name = format!("{count} small values of {value_len} bytes");
            let mut random = SplitMix::new(count);
            let mut entries: Vec<TestEntry> = (0..count)
                .map(|i| {
                    let value = TestValue::Small(random.half_random(value_len));
                    TestEntry::new(i.to_be_bytes(), value)
                })
                .collect();
            row.count(&name, round_trip(&mut entries, WriterOptions::default(), None));
        }
    }
    // Entries with equal hashes are never split between blocks, even beyond the limits of a block.
    for count in [most - 1, most, most + 1, 3 * most] {
        let mut entries = numbered(count, 40, &TestValue::Inline(vec![1]));
        for entry in &mut entries {
            entry.hash = 42;
        }
        let name = format!("{count} keys with one hash");
        row.count(&name, round_trip(&mut entries, WriterOptions::default(), None));
    }
    let result = round_trip(&mut [], WriterOptions::default(), None);
    row.count("no entries", expect(result, false));
    row
}

/// A count or a length in this file, which is far below the limit.
fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn numbered(count: usize, key_len: usize, value: &TestValue) -> Vec<TestEntry> {
    (0..count)
        .map(|i| {
            let number = as_u32(i).to_be_bytes();
            let key = number.iter().copied().cycle().take(key_len);
            TestEntry::new(key.collect::<Vec<u8>>(), value.clone())
        })
        .collect()
}

/// Several entries of one key: in the given order with a tombstone last, accepted only if the
/// option allows them.
fn duplicates() -> Row {
    let mut row = Row::new("round trip: duplicates");
    for per_key in [1, 2, 900] {
        for ends_deleted in [false, true] {
            let mut entries = Vec::new();
            for key in 0..5_u8 {
                entries.extend((0..per_key).map(|i: u16| {
                    TestEntry::new([key; 20], TestValue::Inline(i.to_be_bytes().to_vec()))
                }));
                if ends_deleted {
                    entries.push(TestEntry::new([key; 20], TestValue::Deleted));
                }
            }
            let is_multi = per_key > 1 || ends_deleted;
            let name = format!("{per_key} per key, tombstone {ends_deleted}");
            let multi = WriterOptions::default().multi_value(true);
            row.count(&name, round_trip(&mut entries.clone(), multi, None));
            let single = round_trip(&mut entries, WriterOptions::default(), None);
            row.count(&format!("{name}, single-value table"), expect(single, !is_multi));
        }
    }
    row
}

/// Turns an error into success if the writer was right to refuse.
fn expect(result: Result<(), CheckError>, accepted: bool) -> Result<(), CheckError> {
    match (result, accepted) {
        (Err(error), false) if error.to_string().starts_with(REFUSED) => Ok(()),
        (Ok(()), false) => fail("was accepted"),
        (result, _) => result,
    }
}

const REFUSED: &str = "refused: ";

/// Writes the entries and reads them back in every way. `key_blocks` is the kind that all key
/// blocks must have.
fn round_trip(
    entries: &mut [TestEntry],
    options: WriterOptions,
    key_blocks: Option<KeyBlockKind>,
) -> Result<(), CheckError> {
    TestEntry::sort(entries);
    let refused = |error: WriteError| CheckError::new(format!("{REFUSED}{error}"));
    let options = options.filter(QuotientFilter::default());
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    for entry in entries.iter() {
        writer.add(entry).map_err(refused)?;
    }
    let finished = writer.finish().map_err(refused)?;
    let absent: Vec<(u64, Vec<u8>)> = (0..20_u8)
        .map(|i| [b"absent".as_slice(), &[i]].concat())
        .map(|key| (hash_key(&key), key))
        .collect();
    let dir = tempfile::tempdir().map_err(|error| CheckError::new(error.to_string()))?;
    let path = dir.path().join("00000001.sst");
    std::fs::write(&path, &finished.output).map_err(|error| CheckError::new(error.to_string()))?;
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    for access in [Access::Map, Access::Read] {
        let options = options.clone().access(access);
        for described in [Some(&finished.meta), None] {
            let table = match described {
                Some(meta) => StaticSortedFile::open(&path, meta, &options),
                None => StaticSortedFile::open_standalone(&path, &options),
            };
            let table = table.map_err(|error| CheckError::new(error.to_string()))?;
            check_contents(entries, &absent, &table)?;
            check_kind(&table, key_blocks)?;
        }
    }
    Ok(())
}

fn check_kind(table: &StaticSortedFile, expected: Option<KeyBlockKind>) -> Result<(), CheckError> {
    // Most parts of the matrix do not fix the kind.
    let Some(expected) = expected else { return Ok(()) };
    let info = table.inspect().map_err(|error| CheckError::new(error.to_string()))?;
    let mut kinds = info.blocks.iter().filter_map(|block| block.key_block_kind).peekable();
    if kinds.peek().is_none() {
        return fail("there is no key block");
    }
    match kinds.find(|kind| *kind != expected) {
        Some(kind) => fail(format!("a key block is {}", kind.name())),
        None => Ok(()),
    }
}
