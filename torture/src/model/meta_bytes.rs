//! Meta files as bytes: where their parts lie, and how a forged file gets the right checksums.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};

/// Bytes behind the section of a meta file: its length, the checksum, the magic number.
pub const TRAILER_LEN: usize = 12;

/// Where the parts of a meta file lie, according to its counts, be they true or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaLayout {
    /// The filter area. Before it are the fields, behind it the protection section.
    pub filters: Range<usize>,
}

impl MetaLayout {
    /// The layout that the counts of a meta file give. A count behind its end is taken as 0.
    #[must_use]
    pub fn of(meta: &[u8]) -> Self {
        let word = |at: usize| {
            meta.get(at..at.saturating_add(4)).map_or(0, |word| BigEndian::read_u32(word) as usize)
        };
        let obsolete = word(8);
        let tables_at = 12 + obsolete.saturating_mul(4);
        let used_keys_at = word(tables_at).saturating_mul(38).saturating_add(tables_at + 4);
        let start = used_keys_at.saturating_add(4);
        Self { filters: start..word(used_keys_at).saturating_add(start) }
    }
}

/// Puts the right length and checksum into the trailer of a meta file. Returns the checksum.
pub fn repair(meta: &mut [u8]) -> u32 {
    let section_start = MetaLayout::of(meta).filters.end;
    let trailer = meta.len() - TRAILER_LEN;
    let section_len = u32::try_from(trailer - section_start.min(trailer)).unwrap();
    BigEndian::write_u32(&mut meta[trailer..], section_len);
    let checksum = crc32fast::hash(&meta[..trailer + 4]);
    BigEndian::write_u32(&mut meta[trailer + 4..], checksum);
    checksum
}

/// Replaces the checksum of another meta file in the list of the newest one, and repairs it.
pub fn relist(newest: &mut [u8], sequence: u32, checksum: u32) {
    let start = MetaLayout::of(newest).filters.end + 8;
    let listed = newest[start..].chunks_exact_mut(8);
    for record in listed.take_while(|record| record[..2] == [0, 0]) {
        if BigEndian::read_u32(record) == sequence {
            BigEndian::write_u32(&mut record[4..], checksum);
        }
    }
    repair(newest);
}
