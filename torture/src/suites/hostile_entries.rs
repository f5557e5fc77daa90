//! Hostile input to the writer: a million keys with one hash, and every limit of the format from both sides. What is
//! accepted reads back right; what is refused is a typed error, and the writer goes on as if nothing had been.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use sst_amqf::QuotientFilter;
use sst_format::SstMeta;
use sst_format::key_block::KeyBlockShape;
use sst_format::limits::{
    MAX_BLOCK_COUNT, MAX_BLOCKS_END, MAX_INLINE_LEN, MAX_KEY_BLOCK_ENTRIES, MAX_KEY_LEN,
    MAX_MEDIUM_VALUE_LEN, MAX_POSITION, MAX_SMALL_LEN,
};
use sst_format::offset_table::OFFSET_LEN;
use sst_format::value_ref::EntryType;
use sst_reader::{Access, Lookup, ReaderOptions, StaticSortedFile};
use sst_writer::{
    Compression, EntryValue, Finished, HashedEntry, StreamingSstWriter, WriteError, WriterOptions,
    hash_key,
};

use crate::collisions::colliding_key;
use crate::{Context, Protection, Row, Suite, Verdict, caught};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hostile entries",
    about: "real collisions by the million, and every limit of the writer, one below, at it, one above",
    run,
};

/// How many cases were right, accepted and refused; or what was wrong.
type Outcome = Result<Counts, String>;

/// A name, and what is done; whether in full.
type Test = (&'static str, fn(bool) -> Outcome);

/// The tests of a brief run.
const BRIEF: [&str; 2] = ["runs of one hash in two lengths of key", "a run of 2^24 bytes"];

/// Cases of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Refused, with the right error.
    refused: u64,
    /// Accepted, and read back right.
    accepted: u64,
}

const fn counts(accepted: u64, refused: u64) -> Counts {
    Counts { refused, accepted }
}

fn run(context: &Context) -> Vec<Row> {
    let tests: [Test; 9] = [
        ("a million keys with one hash", a_million_collisions),
        ("runs of one hash in two lengths of key", mixed_collisions),
        ("keys of 0 bytes and around 16 MiB", key_lens),
        ("inline, small and medium values around their limits", value_lens),
        ("a run of 2^24 bytes", run_of_bytes),
        ("a run of 2^24 entries", run_of_entries),
        ("65,535 blocks", block_count),
        ("blocks that end at 2^32 - 1", blocks_end),
        ("16,000,000 entries", many_entries),
    ];
    let row_of = |(test, run): Test| {
        if context.is_brief() && !BRIEF.contains(&test) {
            return Row::skipped(test, Protection::Protected, "takes more than a brief run has");
        }
        let mut row = Row::new(test, Protection::Protected);
        match caught(|| run(context.is_full())) {
            Err(panic) => row.count_panic(0, panic),
            Ok(Err(wrong)) => row.count(0, Verdict::Wrong(wrong), || test.to_owned()),
            Ok(Ok(Counts { refused, accepted })) => {
                (0..refused).for_each(|_| row.count(0, Verdict::Detected, String::new));
                (0..accepted).for_each(|_| row.count(0, Verdict::Harmless, String::new));
            }
        }
        row
    };
    tests.into_iter().map(row_of).collect()
}

fn entry<'a>(key: &'a [u8], value: EntryValue<'a>) -> HashedEntry<'a> {
    HashedEntry { hash: hash_key(key), key, value }
}

fn options() -> WriterOptions {
    WriterOptions::default().compression(Compression::None).filter(QuotientFilter::default())
}

fn in_memory(options: WriterOptions) -> StreamingSstWriter<Vec<u8>> {
    StreamingSstWriter::new(Vec::new(), options)
}

/// Says what is wrong unless `is_right`.
fn expect(is_right: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(what()) }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Opens a table in memory and verifies it.
fn open(finished: Finished<Vec<u8>>) -> Result<(StaticSortedFile, SstMeta), String> {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let Finished { meta, output, .. } = finished;
    let table =
        StaticSortedFile::from_bytes("table", output, Some(&meta), &options).map_err(told)?;
    let report = table.verify(&mut |_| {});
    match report.damage.first() {
        None => Ok((table, meta)),
        Some(damage) => Err(told(damage)),
    }
}

/// The value of a key is this one.
fn expect_value(table: &StaticSortedFile, key: &[u8], value: &[u8]) -> Result<(), String> {
    expect_hashed(table, hash_key(key), key, value)
}

fn expect_hashed(
    table: &StaticSortedFile,
    hash: u64,
    key: &[u8],
    value: &[u8],
) -> Result<(), String> {
    let found = table.lookup(hash, key).map_err(told)?;
    let is_right = matches!(&found, Lookup::Value(found) if &**found == value);
    expect(is_right, || format!("key of {} bytes with hash {hash:016x}: {found:?}", key.len()))
}

/// 32-byte keys, whose hashes are not stored: each is found, those beside them are not.
fn a_million_collisions(_: bool) -> Outcome {
    const COUNT: u64 = 1_000_000;
    let mut writer = in_memory(options());
    for n in 0..COUNT {
        let (key, value) = (colliding_key(32, 0, 2 * n), n.to_be_bytes());
        writer.add((key, EntryValue::Inline(&value))).map_err(told)?;
    }
    let (table, meta) = open(writer.finish().map_err(told)?)?;
    expect(meta.min_hash == meta.max_hash, || "the hashes differ".to_owned())?;
    expect(table.key_block_count() == 1, || "equal hashes were split".to_owned())?;
    for n in 0..COUNT {
        expect_value(&table, &colliding_key(32, 0, 2 * n), &n.to_be_bytes())?;
        let absent = table.get(&colliding_key(32, 0, 2 * n + 1)).map_err(told)?;
        expect(absent == Lookup::NotFound, || format!("absent key {n}: {absent:?}"))?;
    }
    Ok(counts(COUNT, 0))
}

/// Hundreds of runs of 1 to 2,000 entries, of keys that need stored hashes and of keys that don't.
fn mixed_collisions(is_full: bool) -> Outcome {
    let mut entries: Vec<(u64, Vec<u8>)> = Vec::new();
    for tail in 0..if is_full { 250 } else { 60 } {
        for len in [32, 48, 64, 128] {
            let count = 1 + u64::from(tail) * len as u64 % 2000;
            let keys = (0..count).map(|n| colliding_key(len, tail, n * 3));
            entries.extend(keys.map(|key| (hash_key(&key), key)));
        }
    }
    entries.sort();
    let mut writer = in_memory(options());
    for (_, key) in &entries {
        writer.add((key, EntryValue::Small(key))).map_err(told)?;
    }
    let (table, _) = open(writer.finish().map_err(told)?)?;
    for (_, key) in &entries {
        expect_value(&table, key, key)?;
    }
    Ok(counts(entries.len() as u64, 0))
}

/// Keys around the limits, each in a table of its own together with an ordinary one.
fn key_lens(_: bool) -> Outcome {
    let mut counts = Counts::default();
    for len in [0, 1, MAX_KEY_LEN - 1, MAX_KEY_LEN, MAX_KEY_LEN + 1, 2 * MAX_KEY_LEN] {
        let long = vec![0x5a; len];
        let mut keys = [long.as_slice(), b"ordinary"];
        keys.sort_by_key(|key| hash_key(key));
        let mut writer = in_memory(options());
        let mut taken = Vec::new();
        for key in keys {
            match writer.add(entry(key, EntryValue::Inline(b"v"))) {
                Ok(()) => taken.push(key),
                Err(WriteError::KeyTooLong { len: stated, .. }) if stated == len => {}
                Err(error) => return Err(told(error)),
            }
        }
        let is_accepted = taken.len() == 2;
        expect(is_accepted == (len <= MAX_KEY_LEN), || format!("a key of {len} bytes"))?;
        let (table, _) = open(writer.finish().map_err(told)?)?;
        for key in taken {
            expect_value(&table, key, b"v")?;
        }
        if is_accepted { counts.accepted += 1 } else { counts.refused += 1 }
    }
    Ok(counts)
}

/// A class of values, and the longest of it.
type Class = (fn(&[u8]) -> EntryValue<'_>, usize);

fn value_lens(_: bool) -> Outcome {
    let classes: [Class; 3] = [
        (|value| EntryValue::Inline(value), MAX_INLINE_LEN),
        (|value| EntryValue::Small(value), MAX_SMALL_LEN),
        (|value| EntryValue::Medium(value), MAX_MEDIUM_VALUE_LEN),
    ];
    let mut counts = Counts::default();
    for (class, max) in classes {
        for len in [0, max - 1, max, max + 1] {
            let value = vec![7; len];
            let mut writer = in_memory(options());
            let result = writer.add(entry(b"", class(&value)));
            expect(result.is_ok() == (len <= max), || format!("{len} bytes: {result:?}"))?;
            if result.is_err() {
                writer.add(entry(b"", class(&[]))).map_err(told)?;
                counts.refused += 1;
            }
            let expected = if result.is_ok() { value } else { Vec::new() };
            let (table, _) = open(writer.finish().map_err(told)?)?;
            expect_value(&table, b"", &expected)?;
            counts.accepted += u64::from(result.is_ok());
        }
    }
    Ok(counts)
}

/// Two entries with one hash, the second of which starts just below, at and above the highest position.
fn run_of_bytes(_: bool) -> Outcome {
    // What stands before the second entry beside the first key: its hash and its value.
    const OVERHEAD: usize = 8 + 1;
    let mut counts = Counts::default();
    for position in [MAX_POSITION - 1, MAX_POSITION, MAX_POSITION + 1] {
        let first = vec![1; position as usize - OVERHEAD];
        let second = [2; 40];
        let mut writer = in_memory(options());
        let hashed = |hash, key| HashedEntry { hash, key, value: EntryValue::Inline(b"v") };
        writer.add(hashed(5, &first)).map_err(told)?;
        let result = writer.add(hashed(5, &second));
        let is_right = match &result {
            Ok(()) => position <= MAX_POSITION,
            Err(WriteError::RunTooLong { entry: 1, .. }) => position > MAX_POSITION,
            Err(_) => false,
        };
        expect(is_right, || format!("position {position}: {result:?}"))?;
        writer.add(hashed(6, &second)).map_err(told)?;
        let (table, _) = open(writer.finish().map_err(told)?)?;
        expect_hashed(&table, 5, &first, b"v")?;
        expect_hashed(&table, 6, &second, b"v")?;
        if result.is_ok() {
            expect_hashed(&table, 5, &second, b"v")?;
            counts.accepted += 1;
        } else {
            counts.refused += 1;
        }
    }
    Ok(counts)
}

/// As many values of one key as a block can count, and one more. The block itself is written in a full run only: it takes a
/// gigabyte of memory.
fn run_of_entries(is_full: bool) -> Outcome {
    let mut shape = KeyBlockShape::default();
    for _ in 0..MAX_KEY_BLOCK_ENTRIES {
        shape = shape.with_entry(1, EntryType::DELETED).map_err(told)?;
    }
    expect(shape.with_entry(1, EntryType::DELETED).is_err(), || "one more".to_owned())?;
    let mut counts = counts(2, 1);
    if is_full {
        let mut writer = in_memory(options().multi_value(true));
        for n in 0..MAX_KEY_BLOCK_ENTRIES {
            let value = n.to_be_bytes();
            writer.add(entry(b"k", EntryValue::Inline(&value[3..]))).map_err(told)?;
        }
        let result = writer.add(entry(b"k", EntryValue::Inline(b"v")));
        let is_right = matches!(result, Err(WriteError::RunTooLong { .. }));
        expect(is_right, || format!("one more: {result:?}"))?;
        let (table, _) = open(writer.finish().map_err(told)?)?;
        expect_value(&table, b"k", &[0])?;
        let all = table.get_all(b"k").map_err(told)?;
        for (n, found) in (0..MAX_KEY_BLOCK_ENTRIES).zip(all) {
            let found = found.map_err(told)?;
            let byte = n.to_be_bytes()[3];
            let is_right =
                matches!(&found, sst_reader::EntryValue::Value(found) if **found == [byte]);
            expect(is_right, || format!("value {n}: {found:?}"))?;
        }
        counts.accepted += u64::from(MAX_KEY_BLOCK_ENTRIES);
        counts.refused += 1;
    }
    Ok(counts)
}

/// Medium values until no block is left; tables of one entry less, of all, and of all with the entry that was refused.
fn block_count(_: bool) -> Outcome {
    let mut keys: Vec<[u8; 4]> = (0..u32::from(MAX_BLOCK_COUNT)).map(u32::to_be_bytes).collect();
    keys.sort_by_key(|key| hash_key(key));
    let mut writer = in_memory(options());
    let refused = keys.iter().find_map(|key| {
        let result = writer.add(entry(key, EntryValue::Medium(key)));
        result.err().map(|error| (key, error))
    });
    let Some((_, WriteError::TooManyBlocks { .. })) = refused else {
        return Err(format!("{refused:?}"));
    };
    let most = writer.entry_count();
    let taken = keys.iter().take(usize::try_from(most).map_err(told)?);
    let (table, meta) = open(writer.finish().map_err(told)?)?;
    expect(meta.block_count == MAX_BLOCK_COUNT, || format!("{} blocks", meta.block_count))?;
    for key in taken.clone() {
        expect_value(&table, key, key)?;
    }
    let mut writer = in_memory(options());
    for key in taken.clone().take(taken.len() - 1) {
        writer.add(entry(key, EntryValue::Medium(key))).map_err(told)?;
    }
    let (_, meta) = open(writer.finish().map_err(told)?)?;
    expect(meta.block_count == MAX_BLOCK_COUNT - 1, || format!("{} blocks", meta.block_count))?;
    Ok(counts(most, 1))
}

/// A file that keeps no zeros: they are left out, and read back as zeros.
struct SparseFile {
    file: File,
    len: u64,
}

impl Write for SparseFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const PAGE: usize = 4096;
        for page in bytes.chunks(PAGE) {
            if page.iter().any(|&byte| byte != 0) {
                self.file.seek(SeekFrom::Start(self.len))?;
                self.file.write_all(page)?;
            }
            self.len += page.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)
    }
}

/// Length of the longest part from the start on that fits.
fn longest(bytes: &[u8], fits: impl Fn(&[u8]) -> bool) -> usize {
    let (mut fitting, mut too_long) = (0, bytes.len());
    while fitting + 1 < too_long {
        let middle = fitting.midpoint(too_long);
        if fits(&bytes[..middle]) { fitting = middle } else { too_long = middle }
    }
    fitting
}

/// Medium values of zeros until 4 GiB are full to the last byte, in a file with holes.
fn blocks_end(_: bool) -> Outcome {
    let mut keys: Vec<[u8; 2]> = (0..80_u16).map(u16::to_be_bytes).collect();
    keys.sort_by_key(|key| hash_key(key));
    let zeros = vec![0; MAX_MEDIUM_VALUE_LEN];
    let mut counts = Counts::default();
    for below in [1, 0] {
        let scratch = tempfile::NamedTempFile::new().map_err(told)?;
        let sink = SparseFile { file: scratch.reopen().map_err(told)?, len: 0 };
        let options = options();
        let mut writer = StreamingSstWriter::new(sink, options);
        let mut keys = keys.iter();
        let mut last = None;
        for key in keys.by_ref() {
            let value = EntryValue::Medium(&zeros);
            if !writer.has_room_for(&entry(key, value)) {
                last = Some(key);
                break;
            }
            writer.add(entry(key, value)).map_err(told)?;
        }
        let last = last.ok_or("4 GiB never fill")?;
        let most =
            longest(&zeros, |value| writer.has_room_for(&entry(last, EntryValue::Medium(value))));
        expect(most > below, || "no room at all".to_owned())?;
        let result = writer.add(entry(last, EntryValue::Medium(&zeros[..=most])));
        let is_right = matches!(result, Err(WriteError::FileTooLarge { .. }));
        expect(is_right, || format!("one byte more: {result:?}"))?;
        let len = most - below;
        writer.add(entry(last, EntryValue::Medium(&zeros[..len]))).map_err(told)?;
        let finished = writer.finish().map_err(told)?;
        let table_len = u64::from(finished.meta.block_count) * OFFSET_LEN as u64;
        let end = finished.meta.file_size - table_len;
        expect(end == MAX_BLOCKS_END - below as u64, || format!("the blocks end at {end}"))?;
        let reader = ReaderOptions::default().access(Access::Read);
        let table =
            StaticSortedFile::open(scratch.path(), &finished.meta, &reader).map_err(told)?;
        expect_value(&table, last, &zeros[..len])?;
        counts.accepted += 1;
        counts.refused += 1;
    }
    Ok(counts)
}

/// More entries than the reference's filter can hold (row 15 of the list of its defects): any hashes, and no filter.
fn many_entries(_: bool) -> Outcome {
    const COUNT: u64 = 16_000_000;
    let mut writer = StreamingSstWriter::new(io::sink(), WriterOptions::default());
    for hash in 0..COUNT {
        writer
            .add(HashedEntry { hash, key: &[0; 33], value: EntryValue::Deleted })
            .map_err(told)?;
    }
    let meta = writer.finish().map_err(told)?.meta;
    let found = meta.protection.map_or(0, |protection| protection.entry_count);
    expect(found == COUNT, || format!("{found} entries"))?;
    Ok(counts(1, 0))
}
