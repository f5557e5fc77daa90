//! Dumps of the short structures: block, blob, index block, value block, offset table, `CURRENT`.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::ValueSlice;
use super::dump::{Dump, Stop, count};
use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::current::Current;
use crate::index_block::ENTRY_LEN as INDEX_ENTRY_LEN;
use crate::index_block::{INDEX_BLOCK_KIND, IndexBlock};
use crate::offset_table::OFFSET_LEN;
use crate::{FormatError, Structure};

/// A block or a blob file: header, then the payload as stored.
pub(super) fn block(dump: &mut Dump<'_, '_>, title: &str) -> Result<(), Stop> {
    let structure = Structure::BlockHeader;
    dump.title(title, structure)?;
    let size = dump.peek_u32()?;
    dump.field(4, format_args!("payload is {}", PayloadSize(size)))?;
    let stored = dump.peek_u32()?;
    dump.peek(4)?;
    let payload = dump.slice(BLOCK_HEADER_LEN..dump.all().len())?;
    let checked = checksum(dump, stored, payload, structure)?;
    dump.heading(format_args!("payload as stored, {}", count(payload.len() as u64, "byte")))?;
    dump.content(payload.len())?;
    checked?;
    BlockHeader::parse(dump.all())?;
    Ok(())
}

/// The first word of a block header.
pub(super) struct PayloadSize(pub(super) u32);

impl fmt::Display for PayloadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("stored raw"),
            len => write!(f, "LZ4 of {}", count(u64::from(len), "byte")),
        }
    }
}

/// Shows a checksum and, if it can be computed, whether it matches `covered`.
pub(super) fn checksum(
    dump: &mut Dump<'_, '_>,
    stored: u32,
    covered: &[u8],
    structure: Structure,
) -> Result<Result<(), FormatError>, Stop> {
    let Some(crc32) = dump.options().crc32 else {
        dump.field(4, format_args!("CRC-32"))?;
        return Ok(Ok(()));
    };
    let computed = crc32(covered);
    if stored == computed {
        dump.field(4, format_args!("CRC-32, matches"))?;
        return Ok(Ok(()));
    }
    dump.field(4, format_args!("CRC-32, does not match: computed {computed:08x}"))?;
    Ok(Err(FormatError::ChecksumMismatch { structure, stored, computed }))
}

pub(super) fn index_block(dump: &mut Dump<'_, '_>, block_count: u16) -> Result<(), Stop> {
    let structure = Structure::IndexBlock;
    dump.title("index block", structure)?;
    let found = dump.peek_u8()?;
    if found != INDEX_BLOCK_KIND {
        return Err(FormatError::WrongKind { structure, found }.into());
    }
    dump.field(1, format_args!("kind {INDEX_BLOCK_KIND}: index"))?;
    let first = dump.peek_u16()?;
    dump.field(2, format_args!("first key block: {first}"))?;
    let key_blocks = dump.rest().len().div_ceil(INDEX_ENTRY_LEN) as u64;
    dump.fixed_records(key_blocks, "key blocks", INDEX_ENTRY_LEN, |dump, _| {
        dump.peek_u64()?;
        dump.field(8, format_args!("first hash of the next key block"))?;
        let block = dump.peek_u16()?;
        dump.field(2, format_args!("key block {block}"))
    })?;
    Ok(IndexBlock::parse(dump.all())?.validate(block_count)?)
}

pub(super) fn value_block(dump: &mut Dump<'_, '_>, values: &[ValueSlice]) -> Result<(), Stop> {
    dump.title("value block", Structure::ValueRef)?;
    let value_at = |i: u64| usize::try_from(i).ok().and_then(|i| values.get(i));
    let skipped_len = |dump: &Dump<'_, '_>, range: Range<u64>| {
        let end = value_at(range.end).map_or(dump.all().len(), |value| value.offset as usize);
        Ok(end.saturating_sub(dump.at()) as u64)
    };
    dump.records(values.len() as u64, "values", skipped_len, |dump, i| {
        value_at(i).map_or(Ok(()), |&slice| value(dump, i, slice))
    })?;
    let left = dump.rest().len();
    if left > 0 && !values.is_empty() {
        dump.heading(format_args!("no value, {}", count(left as u64, "byte")))?;
    }
    dump.content(left)
}

/// Shows value number `i` of a value block, and the bytes before it.
fn value(dump: &mut Dump<'_, '_>, i: u64, slice: ValueSlice) -> Result<(), Stop> {
    let ValueSlice { offset, len } = slice;
    let (start, payload_len) = (offset as usize, dump.all().len());
    if start.checked_add(len as usize).is_none_or(|end| end > payload_len) {
        // The error has room for the length of a small value only. A longer one lies outside all
        // the more, so 65535 states enough.
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let payload_len = payload_len as u64;
        return Err(FormatError::ValueOutOfBounds { offset, len, payload_len }.into());
    }
    if let Some(gap @ 1..) = start.checked_sub(dump.at()) {
        dump.heading(format_args!("no value, {}", count(gap as u64, "byte")))?;
        dump.content(gap)?;
    }
    // Values may share bytes, which are shown once.
    let shown = dump.at().saturating_sub(start);
    let bytes = count(u64::from(len), "byte");
    match shown {
        0 => dump.heading(format_args!("value {i}, {bytes}"))?,
        _ => dump.heading(format_args!("value {i}, {bytes} from {}", dump.offset(start)))?,
    }
    dump.content((len as usize).saturating_sub(shown))
}

pub(super) fn offset_table(dump: &mut Dump<'_, '_>) -> Result<(), Stop> {
    let structure = Structure::OffsetTable;
    dump.title("offset table", structure)?;
    let all = dump.all();
    let (ends, rest) = all.as_chunks();
    let ends: Vec<u32> = ends.iter().map(|end| u32::from_be_bytes(*end)).collect();
    let blocks = ends.len() as u64 + u64::from(!rest.is_empty());
    if blocks == 0 {
        return Err(FormatError::Empty { structure }.into());
    }
    // Block 0 starts at 0, every other one where the one before ends.
    let starts: Vec<u32> = core::iter::once(0).chain(ends.iter().copied()).collect();
    let start_of = |i: u64| {
        let no_such_entry = FormatError::NoSuchEntry { index: i, count: ends.len() as u64 };
        usize::try_from(i).ok().and_then(|i| starts.get(i)).copied().ok_or(no_such_entry)
    };
    dump.fixed_records(blocks, "blocks", OFFSET_LEN, |dump, i| {
        let end = dump.peek_u32()?;
        let start = start_of(i)?;
        match end.checked_sub(start) {
            Some(len) => {
                let len = count(u64::from(len), "byte");
                dump.field(OFFSET_LEN, format_args!("block {i} ends at {end:#x}, {len}"))
            }
            None => dump.field(OFFSET_LEN, format_args!("block {i} ends before it starts")),
        }
    })?;
    // Blocks that were only counted are checked like those that were shown.
    for (index, (start, end)) in (0..).zip(starts.iter().zip(&ends)) {
        if u64::from(*end) < u64::from(*start) + BLOCK_HEADER_LEN as u64 {
            return Err(FormatError::OutOfOrder { structure, index }.into());
        }
    }
    let (end, base) = (u64::from(start_of(ends.len() as u64)?), dump.options().base);
    if end == base {
        return Ok(());
    }
    let (expected, found) = (end + all.len() as u64, base.saturating_add(all.len() as u64));
    Err(FormatError::WrongLen { structure, expected, found }.into())
}

pub(super) fn current(dump: &mut Dump<'_, '_>) -> Result<(), Stop> {
    dump.title("CURRENT", Structure::Current)?;
    // A file of an unknown revision is not explained.
    if !matches!(dump.all().len(), 4 | 8) {
        Current::parse(dump.all(), |_| 0)?;
    }
    let sequence = dump.peek_u32()?;
    let number = dump.peek(4)?;
    dump.field(4, format_args!("committed sequence number {sequence}"))?;
    if dump.rest().is_empty() {
        return Ok(dump.heading(format_args!("no checksum: the original's"))?);
    }
    let stored = dump.peek_u32()?;
    Ok(checksum(dump, stored, number, Structure::Current)??)
}
