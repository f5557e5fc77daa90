//! Dumps of protection sections of version 3.

use core::ops::Range;

use super::super::blocks::checksum;
use super::super::dump::{Dump, Stop, count};
use super::{Table, blobs, block_headers, certificates, file_name, table_at, tables_in, trailer};

use crate::file_name::FileKind;
use crate::meta_head::{
    ANCESTOR_LEN, CommitKind, HEAD_LOCATION_LEN, LISTED_META_LEN, SHARD_LEN, TABLE_CHECKS_LEN,
    TAG_BLOB_COUNTS, TAG_LINEAGE, TAG_SHARD, headers_len,
};
use crate::protection_records::BLOB_LEN;
use crate::{FormatError, Structure};

/// The bytes of the core at which it states the number of blobs and of live meta files.
const BLOB_COUNT_AT: usize = 20;
const META_COUNT_AT: usize = 12;

/// Dumps the section that starts at byte `start` of the file, and the trailer.
pub(super) fn protection(
    dump: &mut Dump<'_, '_>,
    tables: &[Table],
    start: usize,
) -> Result<(), Stop> {
    dump.field(4, format_args!("version 3"))?;
    let (blob_count, meta_count) = counts(dump, tables)?;
    let len = |_: &Dump<'_, '_>, range: Range<u64>| {
        let len_of = |table: &Table| headers_len(table.block_count);
        tables_in(tables, range).map(|skipped| skipped.iter().map(len_of).sum())
    };
    dump.records(tables.len() as u64, "tables", len, |dump, i| {
        let table = table_at(tables, i)?;
        dump.heading(format_args!("blocks of {}", table.name))?;
        block_headers(dump, table)
    })?;
    dump.heading(format_args!("blobs: {blob_count}"))?;
    blobs(dump, blob_count)?;
    dump.heading(format_args!("live meta files: {meta_count}"))?;
    dump.fixed_records(u64::from(meta_count), "meta files", LISTED_META_LEN, |dump, _| {
        let name = file_name(dump.peek_u32()?, FileKind::Meta);
        dump.field(4, format_args!("{name}"))?;
        match dump.peek_u32()? {
            0 => dump.field(4, format_args!("no CRC-32: this file"))?,
            _ => dump.field(4, format_args!("CRC-32 in its trailer"))?,
        }
        let family = dump.peek_u32()?;
        dump.field(4, format_args!("family {family}"))?;
        dump.field(8, format_args!("lowest hash it covers"))?;
        dump.field(8, format_args!("highest hash that it has to do with"))
    })?;
    core(dump, tables)?;
    trailer(dump, start)
}

/// The numbers of blobs and of live meta files. The core states them, and comes after both lists.
fn counts(dump: &Dump<'_, '_>, tables: &[Table]) -> Result<(u32, u32), Stop> {
    let structure = Structure::MetaHead;
    let rest = dump.rest();
    let (needed, available) = (HEAD_LOCATION_LEN as u64, rest.len() as u64);
    let too_short = FormatError::TooShort { structure, needed, available };
    let word = |at: usize| crate::bytes::u32_at(rest, at).ok_or(too_short);
    let location = rest.len().checked_sub(HEAD_LOCATION_LEN).ok_or(too_short)?;
    let core_len = word(location + 8)?;
    let core = location.checked_sub(core_len as usize).ok_or(too_short)?;
    let (metas, blobs) = (word(core + META_COUNT_AT)?, word(core + BLOB_COUNT_AT)?);
    let headers: u64 = tables.iter().map(|table| headers_len(table.block_count)).sum();
    let expected =
        headers + u64::from(blobs) * BLOB_LEN as u64 + u64::from(metas) * LISTED_META_LEN as u64;
    match core as u64 {
        found if found == expected => Ok((blobs, metas)),
        found => Err(FormatError::WrongLen { structure, expected, found }.into()),
    }
}

fn core(dump: &mut Dump<'_, '_>, tables: &[Table]) -> Result<(), Stop> {
    let structure = Structure::MetaHead;
    dump.structure(structure);
    let core_start = dump.at();
    dump.heading(format_args!("core"))?;
    let version = dump.peek_u32()?;
    dump.field(4, format_args!("version {version}"))?;
    let kind = dump.peek_u32()?;
    match CommitKind::from_number(kind) {
        CommitKind::Load => dump.field(4, format_args!("commit: load"))?,
        CommitKind::Append => dump.field(4, format_args!("commit: append"))?,
        CommitKind::Merge => dump.field(4, format_args!("commit: merge"))?,
        CommitKind::Rollback => dump.field(4, format_args!("commit: rollback"))?,
        CommitKind::Other(_) => dump.field(4, format_args!("commit: of unknown kind {kind}"))?,
    }
    let name = file_name(dump.peek_u32()?, FileKind::Meta);
    dump.field(4, format_args!("newest meta file of the commit: {name}"))?;
    let metas = dump.peek_u32()?;
    dump.field(4, format_args!("live meta files: {metas}"))?;
    dump.field(4, format_args!("CRC-32 of their list"))?;
    let blobs = dump.peek_u32()?;
    dump.field(4, format_args!("blobs: {blobs}"))?;
    dump.field(4, format_args!("CRC-32 of their list"))?;
    dump.field(4, format_args!("CRC-32 of the used-keys filter"))?;
    dump.fixed_records(tables.len() as u64, "tables", TABLE_CHECKS_LEN, |dump, i| {
        let entries = dump.peek_u64()?;
        let Table { name, .. } = table_at(tables, i)?;
        dump.field(8, format_args!("entries of {name}: {entries}"))?;
        dump.field(4, format_args!("CRC-32 of its filter"))?;
        dump.field(4, format_args!("CRC-32 of its block headers"))
    })?;
    certificates(dump)?;
    let len = dump.peek_u32()?;
    dump.heading(format_args!("extension"))?;
    dump.field(4, format_args!("extension: {}", count(len.into(), "byte")))?;
    extension(dump, tables, len as usize)?;
    let core_len = dump.at() - core_start;
    dump.heading(format_args!("tail"))?;
    let start_len = dump.peek_u32()?;
    dump.field(4, format_args!("start of the file: {}", count(start_len.into(), "byte")))?;
    let start = dump.slice(0..start_len as usize)?;
    let stored = dump.peek_u32()?;
    checksum(dump, stored, start, structure)??;
    let stated = dump.peek_u32()?;
    dump.field(4, format_args!("core: {}", count(stated.into(), "byte")))?;
    let covered = dump.slice(core_start..dump.at())?;
    let stored = dump.peek_u32()?;
    checksum(dump, stored, covered, structure)??;
    if u64::from(stated) != core_len as u64 {
        let (expected, found) = (stated.into(), core_len as u64);
        return Err(FormatError::WrongLen { structure, expected, found }.into());
    }
    dump.structure(Structure::ProtectionSection);
    Ok(())
}

/// Dumps the fields of an extension of `len` bytes.
fn extension(dump: &mut Dump<'_, '_>, tables: &[Table], len: usize) -> Result<(), Stop> {
    let end = dump.at() + len;
    while dump.at() < end {
        let tag = dump.peek_u32()?;
        let name = match tag {
            TAG_LINEAGE => "the commits before this one",
            TAG_SHARD => "shard",
            TAG_BLOB_COUNTS => "blobs of each table",
            _ => "unknown to this build",
        };
        dump.field(4, format_args!("field {tag}: {name}"))?;
        let field_len = dump.peek_u32()?;
        dump.field(4, format_args!("its length: {}", count(field_len.into(), "byte")))?;
        match tag {
            TAG_LINEAGE => lineage(dump, field_len)?,
            TAG_SHARD => shard(dump, field_len)?,
            TAG_BLOB_COUNTS => blob_counts(dump, tables, field_len)?,
            _ => dump.content(field_len as usize)?,
        }
    }
    Ok(())
}

/// Fails if a field has another length than it must have.
fn check_len(found: u32, expected: u64) -> Result<(), Stop> {
    let (structure, found) = (Structure::MetaHead, found.into());
    match found == expected {
        true => Ok(()),
        false => Err(FormatError::WrongLen { structure, expected, found }.into()),
    }
}

fn lineage(dump: &mut Dump<'_, '_>, len: u32) -> Result<(), Stop> {
    let commits = u64::from(len) / ANCESTOR_LEN as u64;
    check_len(len, commits * ANCESTOR_LEN as u64)?;
    dump.fixed_records(commits, "commits", ANCESTOR_LEN, |dump, _| {
        let name = file_name(dump.peek_u32()?, FileKind::Meta);
        dump.field(4, format_args!("{name}"))?;
        dump.field(4, format_args!("CRC-32 in its trailer"))
    })
}

fn shard(dump: &mut Dump<'_, '_>, len: u32) -> Result<(), Stop> {
    check_len(len, SHARD_LEN as u64)?;
    let number = dump.peek_u32()?;
    dump.field(4, format_args!("shard {number}"))?;
    let shards = dump.peek_u32()?;
    dump.field(4, format_args!("of {shards}"))?;
    dump.field(8, format_args!("lowest hash"))?;
    dump.field(8, format_args!("highest hash"))?;
    let name = file_name(dump.peek_u32()?, FileKind::Meta);
    dump.field(4, format_args!("{name}"))?;
    dump.field(4, format_args!("CRC-32 in its trailer, at the source"))?;
    dump.field(4, format_args!("CRC-32 of its core"))
}

fn blob_counts(dump: &mut Dump<'_, '_>, tables: &[Table], len: u32) -> Result<(), Stop> {
    check_len(len, tables.len() as u64 * 4)?;
    dump.fixed_records(tables.len() as u64, "tables", 4, |dump, i| {
        let blobs = dump.peek_u32()?;
        let Table { name, .. } = table_at(tables, i)?;
        dump.field(4, format_args!("blobs of {name}: {blobs}"))
    })
}
