//! Corrects checksums and lengths after a mutation, so that the parsers behind them are reached.

use byteorder::{BigEndian, ByteOrder};
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::meta_head::{HEAD_LOCATION_LEN, HeadLocation};
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};
use sst_format::protection::PROTECTION_MAGIC;

/// Length word, checksum and magic at the end of a protected meta file.
const TRAILER_LEN: usize = 12;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(BigEndian::read_u32)
}

/// Writes a word at an offset. `None` if it does not fit.
fn put(bytes: &mut [u8], at: usize, value: u32) -> Option<()> {
    BigEndian::write_u32(bytes.get_mut(at..at.checked_add(4)?)?, value);
    Some(())
}

/// The end of the filter area of a meta file according to its counts.
pub(crate) fn filters_end(bytes: &[u8]) -> Option<usize> {
    let obsolete = word(bytes, 8)? as usize;
    let tables_at = 12 + obsolete.checked_mul(4)?;
    let tables = word(bytes, tables_at)? as usize;
    let used_keys_at = tables_at + 4 + tables.checked_mul(38)?;
    (used_keys_at + 4).checked_add(word(bytes, used_keys_at)? as usize)
}

/// Gives a meta file a valid trailer: length of the protection section, checksum, magic number. In
/// format version 3, also corrects the checksums of head and areas as far as the counts leave room
/// for them. Returns `None`, and leaves the bytes unchanged, if there is no room for a trailer.
pub fn meta_file(bytes: &mut [u8]) -> Option<()> {
    let trailer_at = bytes.len().checked_sub(TRAILER_LEN)?;
    let section_len = trailer_at.checked_sub(filters_end(bytes)?)?;
    put(bytes, trailer_at, u32::try_from(section_len).ok()?)?;
    put(bytes, trailer_at + 8, BigEndian::read_u32(&PROTECTION_MAGIC))?;
    // Meta files before version 3 have no head.
    _ = head(bytes);
    let checksum = crc32fast::hash(bytes.get(..trailer_at + 4)?);
    put(bytes, trailer_at + 4, checksum)
}

/// Corrects the checksums in the head of a meta file of version 3: first those of its areas, then
/// its own two. `None` if the file has no head.
fn head(bytes: &mut [u8]) -> Option<()> {
    let filters_end = filters_end(bytes)?;
    let location = HeadLocation::parse(bytes, bytes.len() as u64)?;
    let core = usize::try_from(location.end_range().start).ok()?;
    if word(bytes, filters_end)? != 3 || word(bytes, core)? != 3 {
        return None;
    }
    let tables_at = 12 + word(bytes, 8)? as usize * 4;
    let tables = word(bytes, tables_at)? as usize;
    let start_len = tables_at + 8 + tables * 38;
    // If an area is not within the file, the counts are false and the areas have no checksums. The
    // head's checksums are corrected all the same, so that the false counts reach the parser.
    _ = areas(bytes, [tables_at, start_len, filters_end, core]);
    let tail = bytes.len().checked_sub(HEAD_LOCATION_LEN)?;
    if let (Ok(len), Some(start)) = (u32::try_from(start_len), crc(bytes, 0, start_len)) {
        put(bytes, tail, len)?;
        put(bytes, tail + 4, start)?;
    }
    let core = crc(bytes, core, tail + 12)?;
    put(bytes, tail + 12, core)
}

fn crc(bytes: &[u8], from: usize, to: usize) -> Option<u32> {
    bytes.get(from..to).map(crc32fast::hash)
}

/// Corrects the checksums of the areas. `None` if an area is not within the file.
fn areas(bytes: &mut [u8], [tables_at, start_len, filters_end, core]: [usize; 4]) -> Option<()> {
    let tables = word(bytes, tables_at)? as usize;
    let mut headers = filters_end + 4;
    let mut filter = start_len;
    for table in 0..tables {
        let record = tables_at + 4 + table * 38;
        let blocks = word(bytes, record + 4)? >> 16;
        let (filter_end, headers_end) =
            (start_len + word(bytes, record + 34)? as usize, headers + blocks as usize * 8);
        let checks = core + 32 + table * 16;
        let (filter_sum, headers_sum) =
            (crc(bytes, filter, filter_end)?, crc(bytes, headers, headers_end)?);
        put(bytes, checks + 8, filter_sum)?;
        put(bytes, checks + 12, headers_sum)?;
        (filter, headers) = (filter_end, headers_end);
    }
    let blobs_end = headers + word(bytes, core + 20)? as usize * 20;
    let (blobs, metas) = (crc(bytes, headers, blobs_end)?, crc(bytes, blobs_end, core)?);
    let used_keys = crc(bytes, filter, filters_end)?;
    put(bytes, core + 24, blobs)?;
    put(bytes, core + 16, metas)?;
    put(bytes, core + 28, used_keys)
}

/// Gives a table an offset table of consecutive blocks, and every block its checksum. Returns the
/// number of blocks, or `None` if there is no room for a block.
pub(crate) fn table(bytes: &mut [u8]) -> Option<u16> {
    let len = bytes.len();
    let last_word = word(bytes, len.checked_sub(OFFSET_LEN)?)?;
    let count = match recover_block_count(len as u64, last_word) {
        Ok(count) => count,
        Err(_) => {
            // Choose 1 to 8 blocks by the last byte, as far as there is room.
            let room = len / (OFFSET_LEN + BLOCK_HEADER_LEN);
            let wanted = 1 + usize::from(bytes.last()? % 8);
            u16::try_from(wanted.min(room)).ok()?
        }
    };
    let blocks_end = len.checked_sub(usize::from(count) * OFFSET_LEN)?;
    if count == 0 {
        return None;
    }
    let mut start = 0;
    for block in 0..usize::from(count) {
        let at = blocks_end + block * OFFSET_LEN;
        // Leaves room for the headers of the following blocks.
        let behind = (usize::from(count) - 1 - block) * BLOCK_HEADER_LEN;
        let most = blocks_end.checked_sub(behind)?;
        let stated = if behind == 0 { blocks_end } else { word(bytes, at)? as usize };
        let end = stated.clamp(start + BLOCK_HEADER_LEN, most.max(start + BLOCK_HEADER_LEN));
        put(bytes, at, u32::try_from(end).ok()?)?;
        let checksum = crc32fast::hash(bytes.get(start + BLOCK_HEADER_LEN..end)?);
        put(bytes, start + 4, checksum)?;
        start = end;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sst_format::meta_file::{MetaFile, MetaFileParts, TableRecord};
    use sst_format::meta_head::{BlockHeaders, CommitKind, DescribedTable, MetaFileV3};
    use sst_format::{SequenceNumber, TableFlags};
    use sst_reader::{ReaderOptions, StaticSortedFile};
    use sst_writer::{StreamingSstWriter, WriterOptions};

    fn written() -> Vec<u8> {
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        writer.add(("key", "a value of some length")).unwrap();
        writer.finish().unwrap().output
    }

    fn is_intact(bytes: &[u8]) -> bool {
        let options = ReaderOptions::default();
        let table = StaticSortedFile::from_bytes("table", bytes.to_vec(), None, &options).unwrap();
        table.verify(&sst_reader::Monitor::default()).unwrap().is_intact()
    }

    #[test]
    fn a_damaged_table_opens_once_repaired() {
        let intact = written();
        let mut repaired = intact.clone();
        assert_eq!(table(&mut repaired), Some(3));
        assert_eq!(repaired, intact);
        // A byte of the first block's value.
        let at = BLOCK_HEADER_LEN;
        repaired[at] ^= 1;
        assert!(!is_intact(&repaired));
        table(&mut repaired);
        assert!(is_intact(&repaired));
    }

    #[test]
    fn any_bytes_with_room_become_blocks() {
        for len in 0..200_usize {
            let mut bytes: Vec<u8> = (0..len).map(|i| (i * 37).to_be_bytes()[7]).collect();
            assert_eq!(table(&mut bytes).is_some(), len >= 12, "{len}");
        }
    }

    #[test]
    fn a_damaged_head_parses_once_repaired() {
        let headers = [0; 16];
        let table = DescribedTable {
            record: TableRecord {
                sequence: SequenceNumber(1),
                block_count: 2,
                min_hash: 3,
                max_hash: 4,
                file_size: 5,
                flags: TableFlags(0),
                filter_end: 0,
            },
            entry_count: 6,
            filter: b"filter",
            headers: BlockHeaders::Stored(&headers),
            filter_checksum: None,
            headers_checksum: None,
        };
        let parts = MetaFileV3 {
            family: 7,
            obsolete: &[SequenceNumber(9)],
            tables: &[table],
            kind: CommitKind::Load,
            commit: SequenceNumber(2),
            live_metas: &[],
            blobs: &[],
            certificates: &[],
            extension: b"\0\0\0\x09\0\0\0\x04more",
        };
        let (intact, _) = parts.encode(crc32fast::hash).unwrap();
        // A byte of the family, the filter, a block header, the kind, the extension.
        let core = intact.len() - HEAD_LOCATION_LEN - (32 + 16 + 4 + 4 + 12);
        for at in [7, core - 16 - 4 - 1, core - 1, core + 7, intact.len() - HEAD_LOCATION_LEN - 1] {
            let mut damaged = intact.clone();
            damaged[at] ^= 1;
            assert!(MetaFile::parse(&damaged, crc32fast::hash).is_err());
            meta_file(&mut damaged);
            assert!(MetaFile::parse(&damaged, crc32fast::hash).is_ok(), "{at}");
            damaged[at] ^= 1;
            meta_file(&mut damaged);
            assert_eq!(damaged, intact);
        }
    }

    #[test]
    fn a_damaged_meta_file_parses_once_repaired() {
        let parts = MetaFileParts {
            family: 7,
            obsolete: &[],
            tables: &[],
            live_metas: &[],
            blobs: &[],
            certificates: &[],
        };
        let (intact, _) = parts.encode(crc32fast::hash).unwrap();
        let mut damaged = intact.clone();
        damaged[7] ^= 1;
        assert!(MetaFile::parse(&damaged, crc32fast::hash).is_err());
        meta_file(&mut damaged).unwrap();
        assert_eq!(MetaFile::parse(&damaged, crc32fast::hash).unwrap().family(), 6);
        damaged[7] ^= 1;
        meta_file(&mut damaged).unwrap();
        assert_eq!(damaged, intact);
    }
}
