//! Single tables in memory, and where their bytes belong.

use std::ops::Range;

use sst_amqf::QuotientFilter;
use sst_conformance::TestEntry;
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::offset_table::{OffsetTable, recover_block_count};
use sst_format::{BlockIndex, SstMeta};
use sst_reader::{ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriterOptions};

/// A table in memory with what went into it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The entries.
    pub entries: Vec<TestEntry>,
    /// Its description, protection included.
    pub meta: SstMeta,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Writes a table of sorted entries, with a filter.
pub fn write(entries: &[TestEntry]) -> Written {
    write_with(entries, WriterOptions::default().multi_value(true))
}

/// Writes a table of sorted entries, with a filter.
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
    /// Opens the table by its description.
    pub fn open(&self, options: &ReaderOptions) -> StaticSortedFile {
        let bytes = self.bytes.clone();
        StaticSortedFile::from_bytes("table", bytes, Some(&self.meta), options).unwrap()
    }
}

/// Where the blocks of a table lie, headers included.
pub fn blocks_of(file: &[u8]) -> Vec<Range<usize>> {
    let last = u32::from_be_bytes(*file.last_chunk().unwrap());
    let count = recover_block_count(file.len() as u64, last).unwrap();
    let table = &file[file.len() - OffsetTable::len_of(count)..];
    let table = OffsetTable::parse(table, count, file.len() as u64).unwrap();
    let range = |block| table.range(BlockIndex(block)).unwrap();
    (0..count).map(range).map(|range| range.start as usize..range.end as usize).collect()
}

/// What a byte of a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// `CURRENT`.
    Current,
    /// A meta file.
    Meta,
    /// The size word of a block header.
    SizeWord,
    /// The checksum of a block header.
    Checksum,
    /// The payload of a block.
    Payload,
    /// The offset table.
    Offsets,
    /// The size word of a blob file.
    BlobSizeWord,
    /// The checksum of a blob file.
    BlobChecksum,
    /// The payload of a blob file.
    BlobPayload,
}

/// What byte `at` of the file called `name` belongs to; `blocks` are those of a table.
pub fn region_of(name: &str, blocks: &[Range<usize>], at: usize) -> Region {
    match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
        "meta" => Region::Meta,
        "blob" => match at {
            0..4 => Region::BlobSizeWord,
            4..8 => Region::BlobChecksum,
            _ => Region::BlobPayload,
        },
        "sst" => match blocks.iter().find(|block| block.contains(&at)) {
            None => Region::Offsets,
            Some(block) => match at - block.start {
                0..4 => Region::SizeWord,
                4..BLOCK_HEADER_LEN => Region::Checksum,
                _ => Region::Payload,
            },
        },
        _ => Region::Current,
    }
}
