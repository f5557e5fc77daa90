//! One test for each known defect of the reference implementation that a writer can have.
//!
//! Each test would have failed there. The numbers are those of its list of defects.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{InMemory, Row, Value, blocks, numbered, read, sorted, write};
use sst_format::block::{BlockHeader, Encoding};
use sst_writer::table::{Compression, StoredBlockDefect, hash_key, write_static_sorted_file};
use sst_writer::{Entry, EntryValue, StreamingSstWriter, WriteError, WriterOptions};

fn writer() -> StreamingSstWriter<Vec<u8>> {
    StreamingSstWriter::new(Vec::new(), WriterOptions::default())
}

fn multi_value() -> WriterOptions {
    WriterOptions::default().multi_value(true)
}

fn inline(byte: u8) -> Value {
    Value::Inline(vec![byte])
}

/// Adds rows, of which exactly those at `refused` must be refused. Checks that the others can be
/// read back.
fn check_refused(options: WriterOptions, rows: &[Row], refused: &[usize]) -> Vec<WriteError> {
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let mut errors = Vec::new();
    let mut accepted = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        match writer.add(row) {
            Ok(()) => accepted.push(row.clone()),
            Err(error) => {
                assert!(refused.contains(&i), "row {i}: {error}");
                errors.push(error);
            }
        }
    }
    assert_eq!(errors.len(), refused.len());
    assert_eq!(writer.entry_count(), accepted.len() as u64);
    let finished = writer.finish().unwrap();
    assert_eq!(read(&finished.output, &finished.meta), accepted);
    errors
}

#[test]
fn defect_1_run_of_equal_hashes_past_24_bit_positions() {
    // Keys of several lengths, so that the block is of variable size. The 17th key would start at
    // about 16 MiB + 17 × 8.
    let row = |i: usize| {
        let mut key = vec![0; (1 << 20) + i];
        key[..8].copy_from_slice(&(i as u64).to_be_bytes());
        Row::with_hash(7, key, inline(1))
    };
    let mut rows: Vec<_> = (0..18).map(row).collect();
    rows.push(Row::with_hash(8, vec![9; 40], inline(2)));
    let errors = check_refused(WriterOptions::default(), &rows, &[16, 17]);
    assert!(errors.iter().all(|error| matches!(error, WriteError::RunTooLong { .. })));
}

#[test]
fn defect_2_entries_out_of_order() {
    let long = |byte| vec![byte; 33];
    let rows = [
        Row::with_hash(5, long(5), inline(0)),
        Row::with_hash(4, long(9), inline(0)),
        Row::with_hash(5, long(4), inline(0)),
        Row::with_hash(5, [long(5), vec![0]].concat(), inline(0)),
        Row::with_hash(5, long(5), inline(0)),
        Row::with_hash(5, long(6), inline(0)),
    ];
    let errors = check_refused(WriterOptions::default(), &rows, &[1, 2, 4]);
    assert!(errors.iter().all(|error| matches!(error, WriteError::OutOfOrder { .. })));
}

#[test]
fn defect_5_hash_that_no_reader_would_compute() {
    let rows = |len: usize| {
        let wrong = Row::with_hash(0, vec![1; len], inline(1));
        let right = sorted(vec![Row::new("a", inline(2)), Row::new(vec![2; 40], inline(3))]);
        [vec![wrong], right].concat()
    };
    let errors = check_refused(WriterOptions::default(), &rows(32), &[0]);
    assert!(matches!(errors[..], [WriteError::KeyHashMismatch { entry: 0, stated: 0, .. }]));
    check_refused(WriterOptions::default(), &rows(33), &[]);

    // Each key block counts for itself: it stores hashes from its first long key on, and the next
    // block starts without.
    let long_key_first = [
        Row::with_hash(1, vec![1; 33], inline(1)),
        Row::with_hash(2, "short", inline(2)),
        Row::with_hash(3, vec![3; 16_384], Value::Deleted),
        Row::with_hash(4, vec![4; 16_384], Value::Deleted),
        Row::with_hash(5, "short", inline(2)),
    ];
    check_refused(WriterOptions::default(), &long_key_first, &[4]);
}

/// An entry with a method that misbehaves.
struct Odd {
    row: Row,
    key_len: usize,
    panics_in: Option<&'static str>,
    clears: bool,
}

impl Odd {
    fn new(row: &Row) -> Self {
        Self { row: row.clone(), key_len: row.key.len(), panics_in: None, clears: false }
    }

    fn enter(&self, method: &str) {
        assert_ne!(self.panics_in, Some(method), "on purpose");
    }
}

impl Entry for Odd {
    fn key_hash(&self) -> u64 {
        self.enter("key_hash");
        self.row.hash
    }

    fn key_len(&self) -> usize {
        self.enter("key_len");
        self.key_len
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        if self.clears {
            out.clear();
            out.shrink_to_fit();
        }
        self.row.write_key_to(out);
        self.enter("write_key_to");
    }

    fn value(&self) -> EntryValue<'_> {
        self.enter("value");
        self.row.value()
    }
}

#[test]
fn defect_6_key_len_that_is_not_that_of_the_key() {
    let rows = numbered(3, |i| Value::Inline(i.to_be_bytes().to_vec()));
    let mut writer = writer();
    writer.add(&rows[0]).unwrap();
    for wrong in [0, 3, 5, (1 << 24) - 1] {
        let mut odd = Odd::new(&rows[1]);
        odd.key_len = wrong;
        match writer.add(&odd).unwrap_err() {
            WriteError::KeyLenMismatch { entry: 1, stated, written: 4 } => {
                assert_eq!(stated, wrong);
            }
            error => panic!("{error}"),
        }
    }
    // `write_key_to` is not called for a key that could not be written.
    let mut odd = Odd::new(&rows[1]);
    odd.panics_in = Some("write_key_to");
    for too_long in [1 << 24, usize::MAX] {
        odd.key_len = too_long;
        let error = writer.add(&odd).unwrap_err();
        assert!(matches!(error, WriteError::KeyTooLong { entry: 1, len } if len == too_long));
    }
    // A key that lies in memory with its hash is refused likewise.
    let too_long = vec![0; 1 << 24];
    let error = writer.add(InMemory(&too_long)).unwrap_err();
    assert!(matches!(error, WriteError::KeyTooLong { entry: 1, len } if len == 1 << 24));
    let mut odd = Odd::new(&rows[1]);
    odd.clears = true;
    writer.add(&odd).unwrap();
    writer.add(&rows[2]).unwrap();
    let finished = writer.finish().unwrap();
    assert_eq!(read(&finished.output, &finished.meta), rows);
}

#[test]
fn defect_7_duplicates_and_tombstones() {
    let twice = [Row::new("k", inline(1)), Row::new("k", inline(2)), Row::new("k", Value::Deleted)];
    let errors = check_refused(WriterOptions::default(), &twice, &[1, 2]);
    assert!(errors.iter().all(|error| matches!(error, WriteError::DuplicateKey { .. })));
    // Insertion order is kept, also for equal values.
    check_refused(multi_value(), &twice, &[]);
    let many: Vec<_> = (0..200).map(|i| Row::new("k", inline(200 - i))).collect();
    check_refused(multi_value(), &many, &[]);

    let tombstone_first = [
        Row::new("k", inline(1)),
        Row::new("k", Value::Deleted),
        Row::new("k", inline(2)),
        Row::new("k", Value::Deleted),
    ];
    let errors = check_refused(multi_value(), &tombstone_first, &[2, 3]);
    assert!(errors.iter().all(|error| matches!(error, WriteError::TombstoneNotLast { .. })));

    // The tombstone of one key does not affect the next key with the same hash.
    let other_key =
        [Row::with_hash(1, vec![1; 40], Value::Deleted), Row::with_hash(1, vec![2; 40], inline(1))];
    check_refused(multi_value(), &other_key, &[]);
}

#[test]
fn defect_9_raw_blocks_that_are_not_what_they_claim() {
    let value = vec![7; 5000];
    let block = lz4_flex::block::compress(&value);
    let raw = |uncompressed_size, checksum_of: &[u8], block: &[u8]| {
        let checksum = crc32fast::hash(checksum_of);
        Value::Raw { uncompressed_size, checksum, block: block.to_vec() }
    };
    let cut = &block[..block.len() - 1];
    for (value, is_expected) in [
        (
            raw(5000, b"other", &block),
            (|d| matches!(d, StoredBlockDefect::Checksum { .. })) as fn(_) -> _,
        ),
        (raw(0, b"other", &block), |d| matches!(d, StoredBlockDefect::Checksum { .. })),
        (raw(4999, &block, &block), |d| matches!(d, StoredBlockDefect::Corrupt { .. })),
        (raw(5001, &block, &block), |d| matches!(d, StoredBlockDefect::Len { found: 5000, .. })),
        (raw(5000, cut, cut), |d| {
            matches!(d, StoredBlockDefect::Corrupt { .. } | StoredBlockDefect::Len { .. })
        }),
        (raw(5000, b"", b""), |d| matches!(d, StoredBlockDefect::Ratio(_))),
        (raw(u32::MAX, &block, &block), |d| matches!(d, StoredBlockDefect::Ratio(_))),
    ] {
        match writer().add(Row::new("k", value)).unwrap_err() {
            WriteError::BadStoredBlock { entry: 0, source } => {
                assert!(is_expected(source), "{source}");
            }
            error => panic!("{error}"),
        }
    }
    for (stored, encoding) in [
        (raw(5000, &block, &block), Encoding::Lz4 { uncompressed_len: 5000 }),
        (raw(0, &value, &value), Encoding::Raw),
    ] {
        let finished = write(&[Row::new("k", stored)], WriterOptions::default());
        assert_eq!(blocks(&finished.output, 3)[0].header.encoding, encoding);
        let rows = read(&finished.output, &finished.meta);
        assert_eq!(rows, [Row::new("k", Value::Medium(value.clone()))]);
    }
}

#[test]
fn defect_10_empty_small_value_as_the_only_one_pending() {
    let empty = Value::Small(Vec::new());
    for rows in [
        vec![Row::new("k", empty.clone())],
        numbered(5, |i| if i == 2 { Value::Small(Vec::new()) } else { inline(1) }),
        sorted(vec![Row::new("a", Value::Small(vec![1; 8192])), Row::new("b", empty)]),
    ] {
        let finished = write(&rows, WriterOptions::default());
        assert_eq!(read(&finished.output, &finished.meta), rows);
    }
}

#[test]
fn defect_11_values_too_long_for_their_class() {
    let check = |value: fn(Vec<u8>) -> Value, len: usize| {
        let rows = [Row::new("a", value(vec![1; len])), Row::new("b", value(vec![2; len + 1]))];
        check_refused(WriterOptions::default(), &sorted(rows.to_vec()), &[refused(&rows)]).remove(0)
    };
    /// Position of the second row in the order of a table.
    fn refused(rows: &[Row; 2]) -> usize {
        usize::from(rows[1].hash > rows[0].hash)
    }
    let error = check(Value::Inline, 8);
    assert!(matches!(error, WriteError::InlineTooLong { len: 9, .. }));
    let error = check(Value::Small, 65_535);
    assert!(matches!(error, WriteError::SmallTooLong { len: 65_536, .. }));
    let error = check(Value::Medium, 64 << 20);
    assert!(matches!(error, WriteError::MediumTooLong { .. }));
    // A pair whose value needs a blob is refused too.
    let error = writer().add(("k", vec![0; (64 << 20) + 1])).unwrap_err();
    assert!(matches!(error, WriteError::MediumTooLong { .. }));
}

#[test]
fn defect_12_no_entries() {
    assert!(matches!(writer().finish().unwrap_err(), WriteError::NoEntries));
    assert!(!writer().is_full(u64::MAX, u64::MAX));
    assert!(writer().is_full(0, u64::MAX));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty");
    let result = write_static_sorted_file::<Row>(&[], &path, WriterOptions::default());
    assert!(matches!(result.unwrap_err(), WriteError::NoEntries));
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn defect_13_as_many_blocks_as_there_can_be() {
    let mut writer = writer();
    let mut full = None;
    for row in numbered(66_000, |_| Value::Medium(Vec::new())) {
        if writer.is_full(u64::MAX, u64::MAX) {
            full.get_or_insert(writer.entry_count());
        }
        let has_room = writer.has_room_for(&row);
        match writer.add(&row) {
            Ok(()) => assert!(has_room),
            Err(error) => {
                assert!(matches!(error, WriteError::TooManyBlocks { blocks: 65_536, .. }));
                assert!(error.is_capacity());
                assert!(!has_room);
                break;
            }
        }
    }
    let (full, count) = (full.unwrap(), writer.entry_count());
    assert!((14..=17).contains(&(count - full)), "{full} of {count}");
    // 682 entries per key block: 97 key blocks, the index block and the value blocks make 65,535.
    let finished = writer.finish().unwrap();
    assert_eq!(finished.meta.block_count, 65_535);
    assert_eq!(read(&finished.output, &finished.meta).len() as u64, count);
}

#[test]
fn defect_15_file_past_4_gib() {
    // Blocks in stored form are passed through, so this needs no 4 GiB of memory.
    let block = vec![0; 64 << 20];
    let header = BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(&block) };
    let mut writer = StreamingSstWriter::new(io::sink(), WriterOptions::default());
    let mut rows = (1_u64..).map(|hash| {
        let value = EntryValue::MediumStored { header, block: &block };
        Hashed { hash, value }
    });
    let error = loop {
        let row = rows.next().unwrap();
        let has_room = writer.has_room_for(&row);
        if let Err(error) = writer.add(&row) {
            assert!(!has_room);
            break error;
        }
        assert!(has_room);
    };
    assert!(matches!(error, WriteError::FileTooLarge { entry: 63, .. }), "{error}");
    assert!(!writer.is_full(u64::MAX, u64::MAX));
    assert!(writer.is_full(u64::MAX, 63 << 26));
    writer.add(Hashed { hash: u64::MAX, value: EntryValue::Inline(b"last") }).unwrap();
    let finished = writer.finish().unwrap();
    assert!(finished.meta.file_size > 63 << 26);
}

/// An entry whose key is so long that its block stores hashes.
struct Hashed<'a> {
    hash: u64,
    value: EntryValue<'a>,
}

impl Entry for Hashed<'_> {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        33
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.resize(33, 0);
    }

    fn value(&self) -> EntryValue<'_> {
        self.value
    }
}

/// A sink that accepts `left` bytes and then fails or panics.
#[derive(Debug)]
struct Limited {
    left: usize,
    panics: bool,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.panics || bytes.len() <= self.left, "on purpose");
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        self.left = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn defect_16_output_that_fails() {
    let rows = numbered(80_000, |i| Value::Small([i.to_be_bytes(); 16].concat()));
    for (left, panics) in [(0, false), (3_000_000, false), (0, true), (3_000_000, true)] {
        let options = WriterOptions::default().compression(Compression::None);
        let mut writer = StreamingSstWriter::new(Limited { left, panics }, options);
        let failed = rows.iter().find_map(|row| {
            let result = catch_unwind(AssertUnwindSafe(|| writer.add(row)));
            match result {
                Ok(Ok(())) => None,
                Ok(Err(WriteError::Io { path: None, source, .. })) => {
                    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                    Some(false)
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => Some(true),
            }
        });
        assert_eq!(failed, Some(panics));
        assert!(matches!(writer.add(&rows[0]).unwrap_err(), WriteError::Poisoned));
        assert!(matches!(writer.finish().unwrap_err(), WriteError::Poisoned));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn defect_16_device_that_is_full() {
    let device = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut writer = StreamingSstWriter::new(device, WriterOptions::default());
    writer.add(("k", "v")).unwrap();
    assert!(matches!(writer.finish().unwrap_err(), WriteError::Io { .. }));
}

#[test]
fn defect_17_panic_in_an_entry() {
    let rows = numbered(2000, |i| Value::Small(vec![1; i as usize % 50]));
    let mut writer = writer();
    for (i, row) in rows.iter().enumerate() {
        for method in ["key_hash", "key_len", "write_key_to", "value"] {
            if i % 500 == 7 {
                let mut odd = Odd::new(row);
                odd.panics_in = Some(method);
                odd.clears = true;
                catch_unwind(AssertUnwindSafe(|| writer.add(&odd))).unwrap_err();
                assert_eq!(writer.entry_count(), i as u64);
            }
        }
        writer.add(row).unwrap();
    }
    let expected = write(&rows, WriterOptions::default());
    assert_eq!(writer.finish().unwrap().output, expected.output);
}

#[test]
fn defect_23_target_that_exists_and_errors_halfway() {
    let directory = tempfile::tempdir().unwrap();
    let names = || directory.path().read_dir().unwrap().count();
    let path = directory.path().join("table");
    let rows = numbered(20_000, |_| inline(1));

    // After an error halfway, or if a writer is dropped, no file stays.
    let unsorted: Vec<_> = rows.iter().rev().collect();
    let result = write_static_sorted_file(&unsorted, &path, WriterOptions::default());
    assert!(matches!(result.unwrap_err(), WriteError::OutOfOrder { .. }));
    let mut writer = StreamingSstWriter::create(&path, WriterOptions::default()).unwrap();
    rows.iter().for_each(|row| writer.add(row).unwrap());
    assert_eq!((names(), path.exists()), (1, false));
    drop(writer);
    assert_eq!(names(), 0);

    // An existing file is not changed, whether it exists from the start or appears meanwhile.
    let mut writer = StreamingSstWriter::create(&path, WriterOptions::default()).unwrap();
    rows.iter().for_each(|row| writer.add(row).unwrap());
    std::fs::write(&path, "precious").unwrap();
    match writer.finish().unwrap_err() {
        WriteError::Exists { path: named } => assert_eq!(named, path),
        error => panic!("{error}"),
    }
    let error = StreamingSstWriter::create(&path, WriterOptions::default()).unwrap_err();
    assert!(matches!(error, WriteError::Exists { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(names(), 1);

    let missing = directory.path().join("missing").join("table");
    match StreamingSstWriter::create(&missing, WriterOptions::default()).unwrap_err() {
        WriteError::Io { path, source, .. } => {
            assert_eq!(path.unwrap(), missing);
            assert_eq!(source.kind(), io::ErrorKind::NotFound);
        }
        error => panic!("{error}"),
    }
    assert_eq!(hash_key(b""), 0x2d06_8005_38d3_94c2);
}
