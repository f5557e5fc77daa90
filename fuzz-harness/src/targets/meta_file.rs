//! Meta files, with and without a protection section, first unchanged and then with a valid
//! trailer. A protected one equals the encoder's output for its parts.

use std::ops::Range;

use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::meta_head::{BlockHeaders, DescribedTable, HeadLocation, MetaFileV3, MetaHead};
use sst_format::protection::ProtectionSection;
use sst_format::{FormatError, SequenceNumber, SstMeta};

use crate::repair;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    check(data);
    let mut repaired = data.to_vec();
    if repair::meta_file(&mut repaired).is_some() {
        check(&repaired);
    }
}

fn check(data: &[u8]) {
    let Ok(meta) = MetaFile::parse(data, crc32fast::hash) else { return };
    let count = meta.tables().count();
    assert_eq!(meta.filter_ranges().count(), count);
    assert_eq!(meta.block_counts().count(), count);
    for range in meta.filter_ranges().chain([meta.used_keys_range()]) {
        assert!(data.get(range).is_some());
    }
    let Some(section) = meta.protection() else { return };
    match section.head() {
        Some(head) => check_headed(data, &meta, section, head),
        None => check_protected(data, &meta, section),
    }
}

/// Checks a meta file of version 3: its head alone gives the same information, and the encoder's
/// output for that information equals the file.
fn check_headed(
    data: &[u8],
    meta: &MetaFile<'_>,
    section: &ProtectionSection<'_>,
    head: &MetaHead<'_>,
) {
    let file_len = data.len() as u64;
    let slice = |range: Range<u64>| {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        data.get(start..end)
    };
    let location = HeadLocation::parse(data, file_len);
    let ends = location.and_then(|p| Some((slice(p.start_range())?, slice(p.end_range())?)));
    let alone = ends.map(|(start, end)| MetaHead::parse(start, end, file_len, crc32fast::hash));
    let alone = alone.and_then(Result::ok);
    assert!(alone.is_some_and(|alone| alone.tables().eq(head.tables())));
    assert!(head.tables().map(|table| table.record).eq(meta.tables()));
    let described: Option<Vec<DescribedTable<'_>>> = head
        .tables()
        .map(|table| {
            Some(DescribedTable {
                record: table.record,
                entry_count: table.entry_count,
                filter: slice(table.filter.range())?,
                headers: BlockHeaders::Stored(slice(table.headers.range())?),
                filter_checksum: Some(table.filter.checksum()),
                headers_checksum: Some(table.headers.checksum()),
            })
        })
        .collect();
    let (tables, listed) = (described.unwrap_or_default(), section.listed_metas());
    assert_eq!(tables.len(), meta.tables().len());
    let parts = MetaFileV3 {
        family: head.family(),
        obsolete: &head.obsolete().collect::<Vec<_>>(),
        tables: &tables,
        kind: head.kind(),
        commit: head.commit(),
        live_metas: &listed.into_iter().flatten().collect::<Vec<_>>(),
        blobs: &section.blobs().collect::<Vec<_>>(),
        certificates: &head.certificates().collect::<Vec<_>>(),
        extension: head.extension(),
    };
    // Our encoder writes no used-keys filter, and describes each table only once.
    match parts.encode(crc32fast::hash) {
        Ok((bytes, _)) => assert!(bytes == data || !meta.used_keys_range().is_empty()),
        Err(error) => assert!(matches!(error, FormatError::OutOfOrder { .. })),
    }
}

fn check_protected(data: &[u8], meta: &MetaFile<'_>, section: &ProtectionSection<'_>) {
    let described = meta.described();
    let described = described.iter().flatten();
    let tables: Vec<(SequenceNumber, SstMeta)> = described
        .flat_map(|table| Some((table.record.sequence, table.description(data).ok()?)))
        .collect();
    assert_eq!(tables.len(), meta.tables().count());
    let parts = MetaFileParts {
        family: meta.family(),
        obsolete: &meta.obsolete().collect::<Vec<_>>(),
        tables: &tables,
        live_metas: &section.live_metas().collect::<Vec<_>>(),
        blobs: &section.blobs().collect::<Vec<_>>(),
        certificates: &section.certificates().collect::<Vec<_>>(),
    };
    let encoded = parts.encode(crc32fast::hash);
    // Our encoder writes no used-keys filter.
    if meta.used_keys_range().is_empty() {
        assert_eq!(encoded.as_ref().map(|(bytes, _)| bytes.as_slice()), Ok(data));
        assert!(encoded.is_ok_and(|(_, checksum)| checksum == section.checksum()));
    }
}
