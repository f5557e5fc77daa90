//! The offset table: a valid one gives consecutive blocks that fill the file.

use byteorder::{BigEndian, ByteOrder};
use sst_format::BlockIndex;
use sst_format::offset_table::{OFFSET_LEN, OffsetTable, encode_offset_table, recover_block_count};

use crate::input::Input;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    // Count and file length usually match the bytes. Two values of the first byte make one of them
    // wrong.
    let lie = input.u8();
    let bytes = input.rest();
    // Fewer than four bytes are not an offset table.
    let last_word = bytes.last_chunk::<4>().map_or(0, |word| BigEndian::read_u32(word));
    // Parsing refuses a count that does not match the number of bytes, including the maximum used
    // here.
    let mut count = u16::try_from(bytes.len() / OFFSET_LEN).unwrap_or(u16::MAX);
    let mut file_len = u64::from(last_word) + bytes.len() as u64;
    match lie {
        0xff => count = input.u16(),
        0xfe => file_len = input.u64(),
        _ => {}
    }
    if let Ok(found) = recover_block_count(file_len, last_word) {
        assert!(found > 0);
        let expected = u64::from(last_word) + OffsetTable::len_of(found) as u64;
        assert_eq!(expected, file_len);
    }
    let Ok(table) = OffsetTable::parse(bytes, count, file_len) else { return };
    assert_eq!(table.block_count(), count);
    assert!(table.end(BlockIndex(count)).is_err());
    for block in [0, count / 2, count - 1, count, u16::MAX] {
        let range = table.range(BlockIndex(block));
        assert!(range.is_err() || range.is_ok_and(|range| range.end >= range.start + 8));
    }
    if table.starts().is_err() {
        return;
    }
    let mut next = 0;
    let mut ends = Vec::new();
    for block in (0..count).map(BlockIndex) {
        let range = table.range(block);
        assert!(range.is_ok(), "a valid table has all its blocks");
        let Ok(range) = range else { return };
        assert_eq!(range.start, next);
        next = range.end;
        ends.push(range.end);
    }
    assert_eq!(u64::from(next) + bytes.len() as u64, file_len);
    assert_eq!(recover_block_count(file_len, last_word), Ok(count));
    let mut encoded = Vec::new();
    encode_offset_table(ends, &mut encoded);
    assert_eq!(encoded, bytes);
}
