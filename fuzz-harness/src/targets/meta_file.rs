//! Meta files, with and without protection section, as they come and with a trailer that fits: a protected one is
//! exactly what an encoder makes of its parts.

use sst_format::filter::FilterBytes;
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::protection::ProtectionSection;
use sst_format::{SequenceNumber, SstMeta, TableProtection};

use crate::repair;

/// See the module.
pub fn run(data: &[u8]) {
    check(data);
    let mut repaired = data.to_vec();
    repair::meta_file(&mut repaired);
    check(&repaired);
}

fn check(data: &[u8]) {
    let Ok(meta) = MetaFile::parse(data, crc32fast::hash) else { return };
    let count = meta.tables().count();
    assert_eq!(meta.filter_ranges().count(), count);
    assert_eq!(meta.block_counts().count(), count);
    for range in meta.filter_ranges().chain([meta.used_keys_range()]) {
        assert!(data.get(range).is_some());
    }
    if let Some(section) = meta.protection() {
        check_protected(data, &meta, section);
    }
}

fn check_protected(data: &[u8], meta: &MetaFile<'_>, section: &ProtectionSection<'_>) {
    let protections = section.tables(meta.block_counts());
    let tables: Vec<(SequenceNumber, SstMeta)> = meta
        .tables()
        .zip(meta.filter_ranges())
        .zip(protections)
        .map(|((record, range), protection)| {
            let described = SstMeta {
                block_count: record.block_count,
                min_hash: record.min_hash,
                max_hash: record.max_hash,
                file_size: record.file_size,
                flags: record.flags,
                filter: FilterBytes::new(data.get(range).unwrap_or_default().to_vec()),
                protection: Some(TableProtection {
                    entry_count: protection.entry_count,
                    block_headers: protection.block_headers().collect(),
                }),
            };
            (record.sequence, described)
        })
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
    // Ours writes no used-keys filter.
    if meta.used_keys_range().is_empty() {
        assert_eq!(encoded.as_ref().map(|(bytes, _)| bytes.as_slice()), Ok(data));
        assert!(encoded.is_ok_and(|(_, checksum)| checksum == section.checksum()));
    }
}
