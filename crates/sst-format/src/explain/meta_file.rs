//! Dumps of meta files, protection section included.

use alloc::vec::Vec;
use core::ops::Range;

use super::blocks::{PayloadSize, checksum};
use super::dump::{Dump, Stop, count};
use crate::block::BLOCK_HEADER_LEN;
use crate::bytes::{u16_at, u32_at};
use crate::content_digest::CONTENT_DIGEST_LEN;
use crate::file_name::{FileKind, FileName};
use crate::meta_file::{META_MAGIC, MetaFile};
use crate::meta_head::{PROTECTION_VERSION_HEADED, headers_len};
use crate::meta_start::TABLE_LEN;
use crate::protection::{PROTECTION_MAGIC, PROTECTION_VERSION, PROTECTION_VERSION_CERTIFIED};
use crate::{FormatError, SequenceNumber, Structure, TableFlags};

mod headed;

/// The fields of a described table that later parts of the dump need.
struct Table {
    name: FileName,
    block_count: u16,
    filter_end: u32,
}

pub(super) fn meta_file(dump: &mut Dump<'_, '_>) -> Result<(), Stop> {
    let structure = Structure::MetaFile;
    dump.title("meta file", structure)?;
    let found = dump.peek_u32()?;
    if found != META_MAGIC {
        return Err(FormatError::WrongMagic { found }.into());
    }
    dump.field(4, format_args!("magic"))?;
    let family = dump.peek_u32()?;
    dump.field(4, format_args!("family {family}"))?;
    let obsolete = dump.peek_u32()?;
    dump.field(4, format_args!("obsolete tables: {obsolete}"))?;
    dump.fixed_records(u64::from(obsolete), "obsolete tables", 4, |dump, _| {
        let name = file_name(dump.peek_u32()?, FileKind::Sst);
        dump.field(4, format_args!("{name}"))
    })?;
    let table_count = dump.peek_u32()?;
    dump.field(4, format_args!("tables: {table_count}"))?;
    let tables = tables(dump, table_count)?;
    let used_keys_end = dump.peek_u32()?;
    dump.heading(format_args!("filters"))?;
    dump.field(4, format_args!("used-keys filter ends at {used_keys_end} of the filter area"))?;
    filters(dump, &tables, used_keys_end)?;
    if dump.rest().is_empty() {
        dump.heading(format_args!("no protection section: the original's"))?;
    } else {
        protection(dump, &tables)?;
    }
    if let Some(crc32) = dump.options().crc32 {
        MetaFile::parse(dump.all(), crc32)?;
    }
    Ok(())
}

/// Table number `i` of a meta file.
fn table_at(tables: &[Table], i: u64) -> Result<&Table, FormatError> {
    let no_such_entry = FormatError::NoSuchEntry { index: i, count: tables.len() as u64 };
    usize::try_from(i).ok().and_then(|i| tables.get(i)).ok_or(no_such_entry)
}

/// A range of the tables of a meta file.
fn tables_in(tables: &[Table], range: Range<u64>) -> Result<&[Table], FormatError> {
    let no_such_entry = FormatError::NoSuchEntry { index: range.end, count: tables.len() as u64 };
    let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
    let range = start.ok().zip(end.ok()).map(|(start, end)| start..end);
    range.and_then(|range| tables.get(range)).ok_or(no_such_entry)
}

fn file_name(sequence: u32, kind: FileKind) -> FileName {
    FileName { sequence: SequenceNumber(sequence), kind }
}

fn tables(dump: &mut Dump<'_, '_>, table_count: u32) -> Result<Vec<Table>, Stop> {
    let len = u64::from(table_count) * TABLE_LEN as u64;
    // A length that does not fit `usize` is more than the bytes that there are.
    let list = dump.peek(usize::try_from(len).unwrap_or(usize::MAX))?;
    let table = |record: &[u8]| {
        Some(Table {
            name: file_name(u32_at(record, 0)?, FileKind::Sst),
            block_count: u16_at(record, 4)?,
            filter_end: u32_at(record, 34)?,
        })
    };
    let tables = list.chunks_exact(TABLE_LEN).map(table).collect::<Option<_>>();
    let tables = tables.ok_or(dump.too_short(len))?;
    dump.fixed_records(u64::from(table_count), "tables", TABLE_LEN, |dump, i| {
        dump.heading(format_args!("table {i}"))?;
        let name = file_name(dump.peek_u32()?, FileKind::Sst);
        dump.field(4, format_args!("{name}"))?;
        let blocks = dump.peek_u16()?;
        dump.field(2, format_args!("blocks: {blocks}"))?;
        dump.field(8, format_args!("lowest hash"))?;
        dump.field(8, format_args!("highest hash"))?;
        let size = dump.peek_u64()?;
        dump.field(8, format_args!("file size: {}", count(size, "byte")))?;
        let flags = TableFlags(dump.peek_u32()?);
        dump.field(4, format_args!("{flags}"))?;
        let end = dump.peek_u32()?;
        dump.field(4, format_args!("its filter ends at {end} of the filter area"))
    })?;
    Ok(tables)
}

fn filters(dump: &mut Dump<'_, '_>, tables: &[Table], used_keys_end: u32) -> Result<(), Stop> {
    let start_of = |i: u64| {
        let before = usize::try_from(i).ok().and_then(|i| tables.get(i.checked_sub(1)?));
        before.map_or(0, |table| table.filter_end)
    };
    let len_of = |start: u32, end: u32, index: u64| {
        // The index of a table, for an error. Counts of tables have 32 bits, so no index is cut
        // off.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let out_of_order = FormatError::OutOfOrder { structure: Structure::MetaFile, index };
        end.checked_sub(start).ok_or(out_of_order)
    };
    let table_count = tables.len() as u64;
    dump.records(
        table_count,
        "filters",
        |_, range| len_of(start_of(range.start), start_of(range.end), range.start).map(u64::from),
        |dump, i| {
            let len = len_of(start_of(i), start_of(i + 1), i)?;
            let Table { name, .. } = table_at(tables, i)?;
            if len > 0 {
                dump.heading(format_args!("filter of {name}, {}", count(len.into(), "byte")))?;
            }
            dump.content(len as usize)
        },
    )?;
    let len = len_of(start_of(table_count), used_keys_end, table_count)?;
    if len > 0 {
        dump.heading(format_args!("used-keys filter, {}", count(len.into(), "byte")))?;
    }
    dump.content(len as usize)
}

fn protection(dump: &mut Dump<'_, '_>, tables: &[Table]) -> Result<(), Stop> {
    let structure = Structure::ProtectionSection;
    dump.structure(structure);
    let start = dump.at();
    dump.heading(format_args!("protection section, {}", count(dump.rest().len() as u64, "byte")))?;
    let version = dump.peek_u32()?;
    match version {
        PROTECTION_VERSION | PROTECTION_VERSION_CERTIFIED => {}
        PROTECTION_VERSION_HEADED => return headed::protection(dump, tables, start),
        found => return Err(FormatError::UnknownVersion { found }.into()),
    }
    dump.field(4, format_args!("version {version}"))?;
    let live = dump.peek_u32()?;
    dump.field(4, format_args!("live meta files: {live}"))?;
    dump.fixed_records(u64::from(live), "meta files", 8, |dump, _| {
        let name = file_name(dump.peek_u32()?, FileKind::Meta);
        dump.field(4, format_args!("{name}"))?;
        match dump.peek_u32()? {
            0 => dump.field(4, format_args!("no CRC-32: this file")),
            _ => dump.field(4, format_args!("CRC-32 in its trailer")),
        }
    })?;
    protected_tables(dump, tables)?;
    let count = dump.peek_u32()?;
    dump.heading(format_args!("blobs"))?;
    dump.field(4, format_args!("blobs: {count}"))?;
    blobs(dump, count)?;
    if version == PROTECTION_VERSION_CERTIFIED {
        certificates(dump)?;
    }
    trailer(dump, start)
}

fn blobs(dump: &mut Dump<'_, '_>, blobs: u32) -> Result<(), Stop> {
    dump.fixed_records(u64::from(blobs), "blobs", 12 + BLOCK_HEADER_LEN, |dump, _| {
        let name = file_name(dump.peek_u32()?, FileKind::Blob);
        dump.field(4, format_args!("{name}"))?;
        let size = dump.peek_u64()?;
        dump.field(8, format_args!("file size: {}", count(size, "byte")))?;
        let header = PayloadSize(dump.peek_u32()?);
        dump.field(BLOCK_HEADER_LEN, format_args!("its header: {header}, CRC-32"))
    })
}

fn certificates(dump: &mut Dump<'_, '_>) -> Result<(), Stop> {
    let families = dump.peek_u32()?;
    dump.heading(format_args!("certificates"))?;
    dump.field(4, format_args!("families: {families}"))?;
    dump.fixed_records(u64::from(families), "families", 4 + CONTENT_DIGEST_LEN, |dump, _| {
        let family = dump.peek_u32()?;
        dump.field(4, format_args!("family {family}"))?;
        let entries = dump.peek_u64()?;
        dump.field(8, format_args!("live entries: {entries}"))?;
        let bytes = dump.peek_u64()?;
        dump.field(8, format_args!("bytes of their keys and values: {bytes}"))?;
        dump.field(CONTENT_DIGEST_LEN - 16, format_args!("sum of their hashes"))
    })
}

fn protected_tables(dump: &mut Dump<'_, '_>, tables: &[Table]) -> Result<(), Stop> {
    let len = |_: &Dump<'_, '_>, range: Range<u64>| {
        let len_of = |table: &Table| 8 + headers_len(table.block_count);
        tables_in(tables, range).map(|skipped| skipped.iter().map(len_of).sum())
    };
    dump.records(tables.len() as u64, "tables", len, |dump, i| {
        let table = table_at(tables, i)?;
        dump.heading(format_args!("blocks of {}", table.name))?;
        let entries = dump.peek_u64()?;
        dump.field(8, format_args!("entries: {entries}"))?;
        block_headers(dump, table)
    })
}

fn block_headers(dump: &mut Dump<'_, '_>, table: &Table) -> Result<(), Stop> {
    let blocks = u64::from(table.block_count);
    dump.fixed_records(blocks, "blocks", BLOCK_HEADER_LEN, |dump, block| {
        let header = PayloadSize(dump.peek_u32()?);
        dump.field(BLOCK_HEADER_LEN, format_args!("header of block {block}: {header}, CRC-32"))
    })
}

fn trailer(dump: &mut Dump<'_, '_>, start: usize) -> Result<(), Stop> {
    let structure = Structure::ProtectionSection;
    dump.heading(format_args!("trailer"))?;
    let (stated, actual) = (u64::from(dump.peek_u32()?), (dump.at() - start) as u64);
    dump.field(4, format_args!("length of the section before this: {stated}"))?;
    let covered = dump.slice(0..dump.at())?;
    let stored = dump.peek_u32()?;
    let checked = checksum(dump, stored, covered, structure)?;
    checked?;
    if dump.peek(4)? == PROTECTION_MAGIC {
        dump.field(4, format_args!("\"SSTP\""))?;
    }
    match dump.rest().len() as u64 {
        0 if stated == actual => Ok(()),
        0 => Err(FormatError::WrongLen { structure, expected: stated, found: actual }.into()),
        left => {
            let found = dump.all().len() as u64;
            Err(FormatError::WrongLen { structure, expected: found - left, found }.into())
        }
    }
}
