//! Meta files as bytes: the positions of their parts, and the repair of checksums in a forged file.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::HeadLocation;

/// Bytes after the protection section of a meta file: its length, the checksum, the magic number.
pub const TRAILER_LEN: usize = 12;

/// Bytes of one entry in the list of live meta files (format version 3).
pub const LISTED_META_LEN: usize = 28;

/// The positions of the parts of a meta file according to its counts, which may be false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaLayout {
    /// The filter area. The fields come before it, the protection section after it.
    pub filters: Range<usize>,
    /// The start of the core of version 3; that of the protection section in other versions.
    pub core: usize,
}

impl MetaLayout {
    /// Computes the layout from the counts of a meta file. A count beyond the end is taken as 0.
    #[must_use]
    pub fn of(meta: &[u8]) -> Self {
        let word = |at: usize| {
            meta.get(at..at.saturating_add(4)).map_or(0, |word| BigEndian::read_u32(word) as usize)
        };
        let obsolete = word(8);
        let tables_at = 12 + obsolete.saturating_mul(4);
        let used_keys_at = word(tables_at).saturating_mul(38).saturating_add(tables_at + 4);
        let start = used_keys_at.saturating_add(4);
        let filters = start..word(used_keys_at).saturating_add(start);
        let head = HeadLocation::parse(meta, meta.len() as u64);
        let core = head.and_then(|head| usize::try_from(head.end_range().start).ok());
        Self { core: core.unwrap_or(filters.end), filters }
    }
}

/// Corrects the length and the checksum in the trailer of a meta file, and the checksums in its
/// head if it has one. Returns the checksum in the trailer.
pub fn repair(meta: &mut [u8]) -> u32 {
    // If the counts are false there may be no room for a section. The length is written even then.
    _ = sst_fuzz_harness::repair::meta_file(meta);
    let section_start = MetaLayout::of(meta).filters.end;
    let trailer = meta.len() - TRAILER_LEN;
    let section_len = u32::try_from(trailer - section_start.min(trailer)).unwrap();
    BigEndian::write_u32(&mut meta[trailer..], section_len);
    let checksum = crc32fast::hash(&meta[..trailer + 4]);
    BigEndian::write_u32(&mut meta[trailer + 4..], checksum);
    checksum
}

/// Replaces the checksum of another meta file in the newest meta file's list, then repairs the
/// newest meta file.
pub fn relist(newest: &mut [u8], sequence: u32, checksum: u32) {
    let parsed = MetaFile::parse(newest, crc32fast::hash).unwrap();
    let head = parsed.protection().unwrap().head().unwrap();
    let list = head.live_metas().range();
    let (start, end) = (usize::try_from(list.start).unwrap(), usize::try_from(list.end).unwrap());
    for record in newest[start..end].chunks_exact_mut(LISTED_META_LEN) {
        if BigEndian::read_u32(record) == sequence {
            BigEndian::write_u32(&mut record[4..], checksum);
        }
    }
    repair(newest);
}
