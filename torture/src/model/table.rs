//! Tables in memory, and the ranges of their blocks.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};
use sst_amqf::QuotientFilter;
use sst_conformance::TestEntry;
use sst_format::offset_table::{OffsetTable, encode_offset_table, recover_block_count};
use sst_format::{BlockIndex, SstMeta};
use sst_reader::{ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriterOptions};

/// A table in memory and its entries.
#[derive(Clone, Debug)]
pub struct Written {
    /// The entries.
    pub entries: Vec<TestEntry>,
    /// The table's description, including its protection.
    pub meta: SstMeta,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Writes a table of sorted entries, with a filter and several values per key allowed.
pub fn write(entries: &[TestEntry]) -> Written {
    write_with(entries, WriterOptions::default().multi_value(true))
}

/// Writes a table of sorted entries with these options and a filter.
pub fn write_with(entries: &[TestEntry], options: WriterOptions) -> Written {
    let options = options.filter(QuotientFilter::default());
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    for entry in entries {
        writer.add(entry).unwrap();
    }
    let finished = writer.finish().unwrap();
    Written { entries: entries.to_vec(), meta: finished.meta, bytes: finished.output }
}

impl Written {
    /// Opens the table with its description.
    pub fn open(&self, options: &ReaderOptions) -> StaticSortedFile {
        let bytes = self.bytes.clone();
        StaticSortedFile::from_bytes("table", bytes, Some(&self.meta), options).unwrap()
    }
}

/// The ranges of the blocks of a table, headers included.
pub fn blocks_of(file: &[u8]) -> Vec<Range<usize>> {
    let last = BigEndian::read_u32(&file[file.len() - 4..]);
    let count = recover_block_count(file.len() as u64, last).unwrap();
    let table = &file[file.len() - OffsetTable::len_of(count)..];
    let table = OffsetTable::parse(table, count, file.len() as u64).unwrap();
    let range = |block| table.range(BlockIndex(block)).unwrap();
    (0..count).map(range).map(|range| range.start as usize..range.end as usize).collect()
}

/// Builds a table of these blocks, whose headers are included.
pub fn table_of(blocks: &[&[u8]]) -> Vec<u8> {
    let ends = blocks.iter().scan(0, |end, block| {
        *end += u32::try_from(block.len()).unwrap();
        Some(*end)
    });
    let mut file = blocks.concat();
    encode_offset_table(ends, &mut file);
    file
}
