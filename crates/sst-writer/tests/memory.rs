//! The memory of the writer, compared with its documentation.

mod counting;

use std::io;
use std::sync::atomic::Ordering;

use sst_format::BlobNumber;
use sst_writer::table::Compression;
use sst_writer::{Entry, EntryValue, StreamingSstWriter, WriteError, WriterOptions};

use counting::{HIGHEST, IN_USE};

const MIB: usize = 1 << 20;

/// An entry with a key of any length. Hashes increase.
struct Numbered<'a> {
    number: u64,
    key_len: usize,
    value: EntryValue<'a>,
}

impl Entry for Numbered<'_> {
    fn key_hash(&self) -> u64 {
        self.number
    }

    fn key_len(&self) -> usize {
        self.key_len
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.resize(self.key_len, 0);
    }

    fn value(&self) -> EntryValue<'_> {
        self.value
    }
}

/// An entry of a run of equal hashes.
struct Colliding {
    number: u64,
}

impl Entry for Colliding {
    fn key_hash(&self) -> u64 {
        7
    }

    fn key_len(&self) -> usize {
        50
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.resize(50, 0);
    }

    fn value(&self) -> EntryValue<'_> {
        EntryValue::Inline(b"12345678")
    }
}

/// Writes entries, and checks the highest use of memory against the documented table. `extra` is
/// the documented memory for blobs, medium values and runs of equal hashes. Returns the highest
/// use.
fn check(entries: impl Iterator<Item = impl Entry>, extra: usize) -> Result<usize, WriteError> {
    check_with(WriterOptions::default(), entries, 6 * MIB + extra)
}

fn check_with(
    options: WriterOptions,
    entries: impl Iterator<Item = impl Entry>,
    beside_blocks: usize,
) -> Result<usize, WriteError> {
    let before = IN_USE.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    let mut writer = StreamingSstWriter::new(io::sink(), options);
    for entry in entries {
        writer.add(entry)?;
    }
    let meta = writer.finish()?.meta;
    let used = HIGHEST.load(Ordering::Relaxed) - before;
    let blocks = usize::from(meta.block_count);
    let documented = 52 * blocks + beside_blocks;
    assert!(used <= documented, "{used} of {documented} bytes for {blocks} blocks");
    Ok(used)
}

// One test only, because other tests in the same process would be counted too.
#[test]
fn memory_is_what_the_documentation_says() -> Result<(), WriteError> {
    let count: u32 = if cfg!(debug_assertions) { 400_000 } else { 4_000_000 };
    let entries = |count: u32, key_len, value: fn(u64) -> EntryValue<'static>| {
        (0..count.into()).map(move |number| Numbered { number, key_len, value: value(number) })
    };
    // Defect 21: one early small value must not make millions of entries wait.
    let one_small = |number| match number {
        0 => EntryValue::Small(b"1"),
        _ => EntryValue::Inline(b"12345678"),
    };
    let waiting = check(entries(count, 40, one_small), 0)?;
    assert!(waiting > MIB, "{waiting}");
    let streaming = check(entries(count, 40, |_| EntryValue::Inline(b"12345678")), 0)?;
    assert!(streaming < 5 * MIB, "{streaming}");
    check(entries(count / 4, 40, |_| EntryValue::Small(&[7; 100])), 0)?;
    check(entries(200, 100_000, one_small), 0)?;

    let blob = |number| EntryValue::Blob(BlobNumber(u32::try_from(number).unwrap_or(u32::MAX)));
    check(entries(count / 10, 40, blob), 8 * count as usize / 10)?;

    let medium = vec![1; 16 * MIB];
    let values = [EntryValue::Medium(&medium), EntryValue::Small(b"1")];
    let mixed = (0..10).zip(values.into_iter().cycle());
    let mixed = mixed.map(|(number, value)| Numbered { number, key_len: 40, value });
    let with_medium = check(mixed.clone(), 2 * medium.len())?;
    assert!(with_medium > medium.len(), "{with_medium}");
    // Blocks of the largest size.
    let large = WriterOptions::default().value_block_size(MIB).key_block_size(MIB);
    let small = entries(count / 4, 40, |_| EntryValue::Small(&[7; 100]));
    let with_large_blocks = check_with(large, small, (6 + 3 + 5) * MIB)?;
    assert!(with_large_blocks > 6 * MIB, "{with_large_blocks}");
    let raw = WriterOptions::default().compression(Compression::None);
    check_with(raw, mixed, 6 * MIB)?;

    // One run: distinct keys, all with one hash.
    let run = (0..200_000).map(|number| Colliding { number });
    check(run, 6 * 200_000 * (50 + 40))?;
    Ok(())
}
