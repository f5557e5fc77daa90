//! Dumps of key blocks of all kinds.

use core::fmt;
use core::ops::Range;

use super::dump::{Dump, Stop, Text, count};
use crate::bytes::{split_u8_u24, u32_at};
use crate::key_block::variable::POSITION_LEN;
use crate::key_block::{Hashes, KeyBlock, KeyBlockKind, check_empty_entries};
use crate::value_ref::{EntryType, ValueRef};
use crate::{FormatError, Structure};

pub(super) fn key_block(dump: &mut Dump<'_, '_>) -> Result<(), Stop> {
    let structure = Structure::KeyBlock;
    dump.title("key block", structure)?;
    let byte = dump.peek_u8()?;
    let kind = KeyBlockKind::from_byte(byte)?;
    dump.field(1, format_args!("kind {byte}: {}", kind.name()))?;
    let entry_count = match *dump.peek(3)? {
        [a, b, c] => u32::from_be_bytes([0, a, b, c]),
        _ => 0,
    };
    dump.field(3, format_args!("entries: {entry_count}"))?;
    if entry_count == 0 {
        return Err(FormatError::Empty { structure }.into());
    }
    match kind {
        KeyBlockKind::Variable(hashes) => variable(dump, hashes, entry_count)?,
        KeyBlockKind::Fixed(hashes) => fixed(dump, hashes, entry_count)?,
    }
    Ok(validate(dump, kind.hashes())?)
}

/// The checks that need more than one field. All fields have been shown by now.
fn validate(dump: &Dump<'_, '_>, hashes: Hashes) -> Result<(), FormatError> {
    let block = KeyBlock::parse(dump.all())?;
    match (hashes, dump.options().hash_key) {
        (_, Some(hash_key)) => block.validate(hash_key),
        (Hashes::Stored, None) => block.validate(|_| 0),
        // Without hashes the order cannot be checked.
        (Hashes::Computed, None) => {
            (0..block.entry_count()).try_for_each(|i| block.value_ref(i).map(drop))
        }
    }
}

/// The position table of a variable-size block.
struct Positions<'a> {
    table: &'a [u8],
    /// The byte of the block from which positions count.
    base: usize,
    block_len: usize,
}

impl Positions<'_> {
    fn word(&self, i: u64) -> Option<(u8, u32)> {
        let at = usize::try_from(i).ok()?.checked_mul(POSITION_LEN)?;
        u32_at(self.table, at).map(split_u8_u24)
    }

    /// The byte of the block at which entry `i` starts; behind the last entry, the length of the
    /// block.
    fn start(&self, i: u64) -> usize {
        self.word(i).map_or(self.block_len, |(_, position)| self.base + position as usize)
    }
}

fn variable(dump: &mut Dump<'_, '_>, hashes: Hashes, entry_count: u32) -> Result<(), Stop> {
    let table_at = dump.at();
    let base = table_at + entry_count as usize * POSITION_LEN;
    let entry_count = u64::from(entry_count);
    dump.heading(format_args!("position table"))?;
    dump.fixed_records(entry_count, "positions", POSITION_LEN, |dump, i| {
        let (type_byte, position) = split_u8_u24(dump.peek_u32()?);
        let start = dump.offset(base + position as usize);
        let entry_type = TypeName(type_byte);
        dump.field(POSITION_LEN, format_args!("entry {i}: {entry_type}, starts at {start}"))
    })?;
    let table = dump.slice(table_at..base)?;
    let positions = Positions { table, base, block_len: dump.all().len() };
    let skipped_len = |_: &Dump<'_, '_>, range: Range<u64>| {
        let (start, end) = (positions.start(range.start), positions.start(range.end));
        let out_of_bounds = FormatError::EntryOutOfBounds { index: index(range.start) };
        end.checked_sub(start).map(|len| len as u64).ok_or(out_of_bounds)
    };
    dump.records(entry_count, "entries", skipped_len, |dump, i| {
        let out_of_bounds = FormatError::EntryOutOfBounds { index: index(i) };
        let (type_byte, _) = positions.word(i).ok_or(out_of_bounds)?;
        let entry_type = EntryType::from_byte(type_byte)?;
        let end = positions.start(i + 1);
        if positions.start(i) != dump.at() || end > dump.all().len() {
            return Err(out_of_bounds.into());
        }
        let fixed_len = hashes.stored_len() + entry_type.value_ref_len();
        let key_len = end.checked_sub(dump.at() + fixed_len).ok_or(out_of_bounds)?;
        entry(dump, i, hashes, key_len, entry_type)
    })
}

fn fixed(dump: &mut Dump<'_, '_>, hashes: Hashes, entry_count: u32) -> Result<(), Stop> {
    let key_len = dump.peek_u8()?;
    dump.field(1, format_args!("key length: {}", count(u64::from(key_len), "byte")))?;
    let type_byte = dump.peek_u8()?;
    let entry_type = EntryType::from_byte(type_byte)?;
    dump.field(1, format_args!("entry type {type_byte}: {}", TypeName(type_byte)))?;
    let key_len = usize::from(key_len);
    let stride = hashes.stored_len() + key_len + entry_type.value_ref_len();
    if stride == 0 {
        check_empty_entries(entry_count, entry_type)?;
    }
    dump.fixed_records(u64::from(entry_count), "entries", stride, |dump, i| {
        entry(dump, i, hashes, key_len, entry_type)
    })
}

/// Shows one entry: its hash if it is stored, its key and its value reference.
fn entry(
    dump: &mut Dump<'_, '_>,
    i: u64,
    hashes: Hashes,
    key_len: usize,
    entry_type: EntryType,
) -> Result<(), Stop> {
    let entry_len = hashes.stored_len() + key_len + entry_type.value_ref_len();
    dump.peek(entry_len)?;
    let key_at = dump.at() + hashes.stored_len();
    let hash = dump.slice(dump.at()..key_at)?;
    let key = dump.slice(key_at..key_at + key_len)?;
    let value_ref = dump.slice(key_at + key_len..dump.at() + entry_len)?;
    match (hashes, dump.options().hash_key) {
        (Hashes::Computed, Some(hash_key)) => {
            dump.heading(format_args!("entry {i}, hash {:016x}", hash_key(key)))?;
        }
        _ => dump.heading(format_args!("entry {i}"))?,
    }
    if hashes == Hashes::Stored {
        match dump.options().hash_key.map(|hash_key| hash_key(key)) {
            Some(of_key) if of_key.to_be_bytes() != *hash => {
                dump.field(hash.len(), format_args!("hash, not that of the key: {of_key:016x}"))?;
            }
            _ => dump.field(hash.len(), format_args!("hash"))?,
        }
    }
    let text = Text::new(key, dump.options());
    dump.field(key_len, format_args!("key, {text}"))?;
    let len = value_ref.len();
    match ValueRef::parse(entry_type, value_ref)? {
        ValueRef::Small { block, len: value_len, offset } => {
            let value_len = count(u64::from(value_len), "byte");
            dump.field(
                len,
                format_args!("value, small: {value_len} at {offset:#x} of block {block}"),
            )
        }
        ValueRef::Blob(number) => dump.field(len, format_args!("value, blob {number}")),
        ValueRef::Deleted => dump.field(len, format_args!("deleted")),
        ValueRef::Medium(block) => dump.field(len, format_args!("value, medium: block {block}")),
        ValueRef::Inline(value) => {
            let text = Text::new(value, dump.options());
            dump.field(len, format_args!("value, inline, {text}"))
        }
    }
}

/// The index of an entry, for an error. Counts of entries have 24 bits, so no index is cut off.
fn index(i: u64) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

/// The name of a type byte.
struct TypeName(u8);

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EntryType::from_byte(self.0) {
            Err(_) => write!(f, "unknown type {}", self.0),
            Ok(entry_type) if entry_type.name() == "inline" => {
                write!(f, "inline of {}", count(entry_type.value_ref_len() as u64, "byte"))
            }
            Ok(entry_type) => f.write_str(entry_type.name()),
        }
    }
}
