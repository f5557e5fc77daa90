//! Checksums and lengths made right after a mutation, so that the parsers behind them are what is tested.

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};
use sst_format::protection::PROTECTION_MAGIC;

/// Length word, checksum and magic at the end of a protected meta file.
const TRAILER_LEN: usize = 12;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(slot) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *slot = value.to_be_bytes();
    }
}

/// Where the filter area of a meta file ends, by what its counts say.
pub(crate) fn filters_end(bytes: &[u8]) -> Option<usize> {
    let obsolete = word(bytes, 8)? as usize;
    let tables_at = 12 + obsolete.checked_mul(4)?;
    let tables = word(bytes, tables_at)? as usize;
    let used_keys_at = tables_at + 4 + tables.checked_mul(38)?;
    (used_keys_at + 4).checked_add(word(bytes, used_keys_at)? as usize)
}

/// Gives a meta file a trailer that fits: length of the section, checksum, magic. What has no room for one stays.
pub(crate) fn meta_file(bytes: &mut [u8]) {
    let Some(trailer_at) = bytes.len().checked_sub(TRAILER_LEN) else { return };
    let Some(section_len) = filters_end(bytes).and_then(|end| trailer_at.checked_sub(end)) else {
        return;
    };
    put(bytes, trailer_at, u32::try_from(section_len).unwrap_or(u32::MAX));
    let checksum = crc32fast::hash(bytes.get(..trailer_at + 4).unwrap_or_default());
    put(bytes, trailer_at + 4, checksum);
    put(bytes, trailer_at + 8, u32::from_be_bytes(PROTECTION_MAGIC));
}

/// Gives a table an offset table of blocks that follow each other, and every block its checksum. Returns the number of
/// blocks, or `None` if there is no room for one.
pub(crate) fn table(bytes: &mut [u8]) -> Option<u16> {
    let len = bytes.len();
    let last_word = word(bytes, len.checked_sub(OFFSET_LEN)?)?;
    let count = recover_block_count(len as u64, last_word).unwrap_or_else(|_| {
        // As many as the last byte says, as far as there is room.
        let room = len / (OFFSET_LEN + BLOCK_HEADER_LEN);
        let wanted = 1 + usize::from(bytes.last().copied().unwrap_or(0) % 8);
        u16::try_from(wanted.min(room)).unwrap_or(0)
    });
    let blocks_end = len.checked_sub(usize::from(count) * OFFSET_LEN)?;
    if count == 0 {
        return None;
    }
    let mut start = 0;
    for block in 0..usize::from(count) {
        let at = blocks_end + block * OFFSET_LEN;
        // Room for the headers of those behind.
        let behind = (usize::from(count) - 1 - block) * BLOCK_HEADER_LEN;
        let most = blocks_end.checked_sub(behind)?;
        let stated = if behind == 0 { blocks_end } else { word(bytes, at)? as usize };
        let end = stated.clamp(start + BLOCK_HEADER_LEN, most.max(start + BLOCK_HEADER_LEN));
        put(bytes, at, u32::try_from(end).ok()?);
        let checksum = crc32fast::hash(bytes.get(start + BLOCK_HEADER_LEN..end)?);
        put(bytes, start + 4, checksum);
        start = end;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sst_format::meta_file::{MetaFile, MetaFileParts};
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
        // A byte of the first block, which holds the value.
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
        meta_file(&mut damaged);
        assert_eq!(MetaFile::parse(&damaged, crc32fast::hash).unwrap().family(), 6);
        damaged[7] ^= 1;
        meta_file(&mut damaged);
        assert_eq!(damaged, intact);
    }
}
