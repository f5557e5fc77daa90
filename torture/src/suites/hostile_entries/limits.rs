//! Limits of keys, values and files, tested just below and just above.

use std::io;

use sst_format::limits::{
    MAX_BLOCK_COUNT, MAX_BLOCKS_END, MAX_INLINE_LEN, MAX_KEY_LEN, MAX_MEDIUM_VALUE_LEN,
    MAX_SMALL_LEN,
};
use sst_format::offset_table::OFFSET_LEN;
use sst_reader::{Access, ReaderOptions, StaticSortedFile};
use sst_writer::table::{HashedEntry, hash_key};
use sst_writer::{EntryValue, StreamingSstWriter, WriteError, WriterOptions};

use super::sparse_file::SparseFile;
use super::{
    Counts, Outcome, counts, entry, expect, expect_value, in_memory, message, open, options,
};

/// Keys of lengths around the limits, each in a table together with an ordinary key.
pub(super) fn key_lens(_: bool) -> Outcome {
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
                Err(error) => return Err(message(error)),
            }
        }
        let is_accepted = taken.len() == 2;
        expect(is_accepted == (len <= MAX_KEY_LEN), || format!("a key of {len} bytes"))?;
        let (table, _) = open(writer.finish().map_err(message)?)?;
        for key in taken {
            expect_value(&table, key, b"v")?;
        }
        if is_accepted { counts.accepted += 1 } else { counts.refused += 1 }
    }
    Ok(counts)
}

/// A class of values and its maximal length.
type Class = (fn(&[u8]) -> EntryValue<'_>, usize);

pub(super) fn value_lens(_: bool) -> Outcome {
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
                writer.add(entry(b"", class(&[]))).map_err(message)?;
                counts.refused += 1;
            }
            let expected = if result.is_ok() { value } else { Vec::new() };
            let (table, _) = open(writer.finish().map_err(message)?)?;
            expect_value(&table, b"", &expected)?;
            counts.accepted += u64::from(result.is_ok());
        }
    }
    Ok(counts)
}

/// Adds medium values until no block is left. Then writes tables with one entry less, with all
/// accepted entries, and with the refused entry added.
pub(super) fn block_count(_: bool) -> Outcome {
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
    let taken = keys.iter().take(usize::try_from(most).map_err(message)?);
    let (table, meta) = open(writer.finish().map_err(message)?)?;
    expect(meta.block_count == MAX_BLOCK_COUNT, || format!("{} blocks", meta.block_count))?;
    for key in taken.clone() {
        expect_value(&table, key, key)?;
    }
    let mut writer = in_memory(options());
    for key in taken.clone().take(taken.len() - 1) {
        writer.add(entry(key, EntryValue::Medium(key))).map_err(message)?;
    }
    let (_, meta) = open(writer.finish().map_err(message)?)?;
    expect(meta.block_count == MAX_BLOCK_COUNT - 1, || format!("{} blocks", meta.block_count))?;
    Ok(counts(most, 1))
}

/// Length of the longest prefix of `bytes` that fits, found by bisection.
fn longest(bytes: &[u8], fits: impl Fn(&[u8]) -> bool) -> usize {
    let (mut fitting, mut too_long) = (0, bytes.len());
    while fitting + 1 < too_long {
        let middle = fitting.midpoint(too_long);
        if fits(&bytes[..middle]) { fitting = middle } else { too_long = middle }
    }
    fitting
}

/// Medium values of zeros that fill 4 GiB to the last byte, in a sparse file.
pub(super) fn blocks_end(_: bool) -> Outcome {
    let mut keys: Vec<[u8; 2]> = (0..80_u16).map(u16::to_be_bytes).collect();
    keys.sort_by_key(|key| hash_key(key));
    let zeros = vec![0; MAX_MEDIUM_VALUE_LEN];
    let mut counts = Counts::default();
    for below in [1, 0] {
        let scratch = tempfile::NamedTempFile::new().map_err(message)?;
        let sink = SparseFile::new(scratch.reopen().map_err(message)?);
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
            writer.add(entry(key, value)).map_err(message)?;
        }
        let last = last.ok_or("4 GiB never fill")?;
        let most =
            longest(&zeros, |value| writer.has_room_for(&entry(last, EntryValue::Medium(value))));
        expect(most > below, || "no room at all".to_owned())?;
        let result = writer.add(entry(last, EntryValue::Medium(&zeros[..=most])));
        let is_right = matches!(result, Err(WriteError::FileTooLarge { .. }));
        expect(is_right, || format!("one byte more: {result:?}"))?;
        let len = most - below;
        writer.add(entry(last, EntryValue::Medium(&zeros[..len]))).map_err(message)?;
        let finished = writer.finish().map_err(message)?;
        let table_len = u64::from(finished.meta.block_count) * OFFSET_LEN as u64;
        let end = finished.meta.file_size - table_len;
        expect(end == MAX_BLOCKS_END - below as u64, || format!("the blocks end at {end}"))?;
        let reader = ReaderOptions::default().access(Access::Read);
        let table =
            StaticSortedFile::open(scratch.path(), &finished.meta, &reader).map_err(message)?;
        expect_value(&table, last, &zeros[..len])?;
        counts.accepted += 1;
        counts.refused += 1;
    }
    Ok(counts)
}

/// More entries than the reference's filter can hold (row 15 of the list of its defects), with
/// arbitrary hashes and without a filter.
pub(super) fn many_entries(_: bool) -> Outcome {
    const COUNT: u64 = 16_000_000;
    let mut writer = StreamingSstWriter::new(io::sink(), WriterOptions::default());
    for hash in 0..COUNT {
        writer
            .add(HashedEntry { hash, key: &[0; 33], value: EntryValue::Deleted })
            .map_err(message)?;
    }
    let meta = writer.finish().map_err(message)?.meta;
    let found = meta.protection.map_or(0, |protection| protection.entry_count);
    expect(found == COUNT, || format!("{found} entries"))?;
    Ok(counts(1, 0))
}
