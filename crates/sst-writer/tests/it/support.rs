//! Shared parts of the tests: entries to write, and a very simple reader.

use sst_format::block::{BlockHeader, Encoding};
use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::offset_table::OffsetTable;
use sst_format::value_ref::{ValueRef, small_value};
use sst_format::{BlobNumber, BlockIndex, SstMeta};
use sst_writer::table::{Finished, HashedKey, hash_key};
use sst_writer::{Entry, EntryValue, StreamingSstWriter, WriterOptions};

/// An entry whose hash may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hash: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Value,
}

/// An owned value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Inline(Vec<u8>),
    Small(Vec<u8>),
    Medium(Vec<u8>),
    Raw { uncompressed_size: u32, checksum: u32, block: Vec<u8> },
    Blob(u32),
    Deleted,
}

impl Row {
    /// A row with the hash of its key.
    pub(crate) fn new(key: impl Into<Vec<u8>>, value: Value) -> Self {
        let key = key.into();
        Self { hash: hash_key(&key), key, value }
    }

    /// A row with the given hash.
    pub(crate) fn with_hash(hash: u64, key: impl Into<Vec<u8>>, value: Value) -> Self {
        Self { hash, key: key.into(), value }
    }
}

impl Entry for Row {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        self.key.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key);
    }

    fn value(&self) -> EntryValue<'_> {
        match &self.value {
            Value::Inline(value) => EntryValue::Inline(value),
            Value::Small(value) => EntryValue::Small(value),
            Value::Medium(value) => EntryValue::Medium(value),
            &Value::Raw { uncompressed_size, checksum, ref block } => {
                let encoding = match uncompressed_size {
                    0 => Encoding::Raw,
                    uncompressed_len => Encoding::Lz4 { uncompressed_len },
                };
                EntryValue::MediumStored { header: BlockHeader { encoding, checksum }, block }
            }
            &Value::Blob(number) => EntryValue::Blob(BlobNumber(number)),
            Value::Deleted => EntryValue::Deleted,
        }
    }
}

/// Sorts rows in the order of a table. Rows of one key keep their order.
pub(crate) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| (a.hash, &a.key).cmp(&(b.hash, &b.key)));
    rows
}

/// `count` rows with distinct short keys, sorted.
pub(crate) fn numbered(count: u32, value: impl Fn(u32) -> Value) -> Vec<Row> {
    sorted((0..count).map(|i| Row::new(i.to_be_bytes(), value(i))).collect())
}

/// Writes rows into memory.
pub(crate) fn write(rows: &[Row], options: WriterOptions) -> Finished<Vec<u8>> {
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    for row in rows {
        writer.add(row).unwrap();
    }
    writer.finish().unwrap()
}

/// A block of a table.
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    pub(crate) payload: Vec<u8>,
}

/// All blocks of a table. Checks the offset table, the headers and the checksums.
pub(crate) fn blocks(file: &[u8], block_count: u16) -> Vec<Block> {
    let table = &file[file.len() - OffsetTable::len_of(block_count)..];
    let table = OffsetTable::parse(table, block_count, file.len() as u64).unwrap();
    table.starts().unwrap();
    let block = |index| {
        let range = table.range(BlockIndex(index)).unwrap();
        let bytes = &file[range.start as usize..range.end as usize];
        let (header, stored) = BlockHeader::parse(bytes).unwrap();
        assert_eq!(crc32fast::hash(stored), header.checksum);
        let payload = match header.encoding {
            Encoding::Raw => stored.to_vec(),
            Encoding::Lz4 { uncompressed_len } => {
                lz4_flex::block::decompress(stored, uncompressed_len as usize).unwrap()
            }
        };
        Block { header, payload }
    };
    (0..block_count).map(block).collect()
}

/// The entries of a table in order: hash, key, and the value with the class in which it is stored.
/// Checks everything else in the table.
pub(crate) fn read(file: &[u8], meta: &SstMeta) -> Vec<Row> {
    assert_eq!(meta.file_size, file.len() as u64);
    let blocks = blocks(file, meta.block_count);
    let protection = meta.protection.as_ref().unwrap();
    let headers: Vec<_> = blocks.iter().map(|block| block.header).collect();
    assert_eq!(headers, &*protection.block_headers);
    let payload = |index: BlockIndex| blocks[usize::from(index.0)].payload.as_slice();
    let index = IndexBlock::parse(&blocks.last().unwrap().payload).unwrap();
    index.validate(meta.block_count).unwrap();
    let mut rows = Vec::new();
    for (i, block) in index.blocks().enumerate() {
        let keys = KeyBlock::parse(payload(block)).unwrap();
        keys.validate(hash_key).unwrap();
        for entry in 0..keys.entry_count() {
            let entry = keys.entry(entry).unwrap();
            let hash = entry.stored_hash.unwrap_or_else(|| hash_key(entry.key));
            let value = match entry.value_ref().unwrap() {
                ValueRef::Inline(value) => Value::Inline(value.to_vec()),
                ValueRef::Small { block, len, offset } => {
                    Value::Small(small_value(payload(block), len, offset).unwrap().to_vec())
                }
                ValueRef::Medium(block) => Value::Medium(payload(block).to_vec()),
                ValueRef::Blob(number) => Value::Blob(number.0),
                ValueRef::Deleted => Value::Deleted,
            };
            rows.push(Row { hash, key: entry.key.to_vec(), value });
        }
        let first = keys.entry(0).unwrap();
        let first = first.stored_hash.unwrap_or_else(|| hash_key(first.key));
        assert!(index.first_hash(i).is_none_or(|hash| hash == first));
    }
    assert_eq!(rows.len() as u64, protection.entry_count);
    assert_eq!(rows.first().unwrap().hash, meta.min_hash);
    assert_eq!(rows.last().unwrap().hash, meta.max_hash);
    assert!(rows.is_sorted_by(|a, b| (a.hash, &a.key) <= (b.hash, &b.key)));
    rows
}

/// The kinds of the blocks of a table in order: `s` for a value block, `m` for the block of a
/// medium value, `k` for a key block with its number of entries, `i` for the index block.
pub(crate) fn order(file: &[u8], meta: &SstMeta) -> String {
    let blocks = blocks(file, meta.block_count);
    let mut kinds = vec!["s".to_owned(); blocks.len()];
    let (last, rest) = kinds.split_last_mut().unwrap();
    *last = "i".to_owned();
    let index = IndexBlock::parse(&blocks.last().unwrap().payload).unwrap();
    for block in index.blocks() {
        let keys = KeyBlock::parse(&blocks[usize::from(block.0)].payload).unwrap();
        rest[usize::from(block.0)] = format!("k{}", keys.entry_count());
        for i in 0..keys.entry_count() {
            if let ValueRef::Medium(block) = keys.value_ref(i).unwrap() {
                rest[usize::from(block.0)] = "m".to_owned();
            }
        }
    }
    kinds.join(" ")
}

/// A tombstone that gives its key and hash at once.
pub(crate) struct InMemory<'a>(pub(crate) &'a [u8]);

impl Entry for InMemory<'_> {
    fn key_hash(&self) -> u64 {
        panic!("not to be asked for")
    }

    fn key_len(&self) -> usize {
        panic!("not to be asked for")
    }

    fn write_key_to(&self, _: &mut Vec<u8>) {
        panic!("not to be asked for")
    }

    fn hashed_key(&self) -> Option<HashedKey<'_>> {
        Some(HashedKey::new(self.0))
    }

    fn value(&self) -> EntryValue<'_> {
        EntryValue::Deleted
    }
}
