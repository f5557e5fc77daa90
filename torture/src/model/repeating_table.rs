//! Hostile tables, whose entries refer to the same compressed blocks over and over: if each value
//! were decompressed for itself, they would take a thousand times as much memory.

use std::fs;

use sst_format::block::{BlockHeader, Encoding};
use sst_format::current::Current;
use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::FilterBytes;
use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::meta_file::MetaFileParts;
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, BlockIndex, SequenceNumber, SstMeta, TableFlags, TableProtection};
use sst_reader::{BlockCache, ReaderOptions, StaticSortedFile, hash_key};
use tempfile::TempDir;

use super::parts::{Part, Parts};
use super::scratch;
use super::table::blocks_of;
use crate::allocations::read_limit;

/// Length of each value block after decompression.
pub const BLOCK_LEN: usize = 1 << 20;
/// Number of entries. If each value were copied, they would take 500 MB.
pub const ENTRIES: u32 = 500;

/// A table whose entries refer to the same compressed blocks over and over, and its description.
#[derive(Debug)]
pub struct RepeatingTable {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its description.
    pub meta: SstMeta,
}

impl RepeatingTable {
    /// A table of value blocks of zeros, which compress by a factor of 255. Its entries have the
    /// same key or different keys.
    pub fn new(
        value_blocks: u16,
        has_one_key: bool,
        value: impl Fn(u32) -> ValueRef<'static>,
    ) -> Self {
        let mut parts: Vec<_> = (0..value_blocks).map(|_| Part::lz4(vec![0; BLOCK_LEN])).collect();
        let key = |i: u32| if has_one_key { b"same".to_vec() } else { i.to_be_bytes().to_vec() };
        let mut entries: Vec<_> = (0..ENTRIES).map(|i| (hash_key(&key(i)), key(i))).collect();
        entries.sort();
        let shape = (0..).zip(&entries).fold(KeyBlockShape::default(), |shape, (i, (_, key))| {
            shape.with_entry(key.len(), value(i).entry_type().unwrap()).unwrap()
        });
        let mut payload = Vec::new();
        let mut encoder = KeyBlockEncoder::new(&shape, &mut payload);
        for (i, (hash, key)) in (0..).zip(&entries) {
            encoder.push(*hash, key, value(i));
        }
        encoder.finish().unwrap();
        let mut index = IndexBlockEncoder::new();
        index.push(entries[0].0, BlockIndex(value_blocks));
        parts.extend([Part::raw(payload), Part::raw(index.finish().unwrap())]);
        let bytes = Parts::new(parts).to_bytes();
        let block_headers = blocks_of(&bytes)
            .into_iter()
            .map(|range| BlockHeader::parse(&bytes[range]).unwrap().0)
            .collect();
        let meta = SstMeta {
            block_count: value_blocks + 2,
            min_hash: entries[0].0,
            max_hash: entries[entries.len() - 1].0,
            file_size: bytes.len() as u64,
            flags: TableFlags(0),
            filter: FilterBytes::new([]),
            protection: Some(TableProtection { entry_count: ENTRIES.into(), block_headers }),
        };
        Self { bytes, meta }
    }

    /// A table whose entries refer to the value blocks in turn.
    pub fn in_turn(value_blocks: u16, has_one_key: bool) -> Self {
        let block = move |i: u32| BlockIndex(u16::try_from(i % u32::from(value_blocks)).unwrap());
        Self::new(value_blocks, has_one_key, move |i| ValueRef::Medium(block(i)))
    }

    /// Opens the table.
    pub fn open(&self, options: &ReaderOptions) -> StaticSortedFile {
        let bytes = self.bytes.clone();
        StaticSortedFile::from_bytes("hostile", bytes, Some(&self.meta), options).unwrap()
    }

    /// The memory limit of a call: 255 times the stored bytes, and a fixed cost.
    pub fn limit(&self) -> u64 {
        read_limit(self.bytes.len() as u64)
    }

    /// A directory with the table and with blobs of these stored bytes.
    pub fn publish(&self, blobs: &[Vec<u8>]) -> TempDir {
        let dir = scratch();
        let file = |number, kind| {
            let name = FileName { sequence: SequenceNumber(number), kind };
            dir.path().join(name.to_string())
        };
        let mut records = Vec::new();
        for (number, stored) in (10..).zip(blobs) {
            let header = BlockHeader::parse(stored).unwrap().0;
            fs::write(file(number, FileKind::Blob), stored).unwrap();
            let file_size = stored.len() as u64;
            records.push(BlobRecord { number: BlobNumber(number), file_size, header });
        }
        fs::write(file(1, FileKind::Sst), &self.bytes).unwrap();
        let sequence = SequenceNumber(100);
        let parts = MetaFileParts {
            family: 0,
            obsolete: &[],
            tables: &[(SequenceNumber(1), self.meta.clone())],
            live_metas: &[LiveMeta { sequence, checksum: 0 }],
            blobs: &records,
            certificates: &[],
        };
        let (bytes, _) = parts.encode(crc32fast::hash).unwrap();
        fs::write(file(sequence.0, FileKind::Meta), bytes).unwrap();
        let current = Current::encode(sequence, crc32fast::hash);
        fs::write(dir.path().join("CURRENT"), current).unwrap();
        dir
    }
}

/// The stored bytes of a blob of zeros.
pub fn blob(len: usize) -> Vec<u8> {
    let stored = lz4_flex::block::compress(&vec![0; len]);
    let encoding = Encoding::Lz4 { uncompressed_len: u32::try_from(len).unwrap() };
    let header = BlockHeader { encoding, checksum: crc32fast::hash(&stored) };
    [&header.to_bytes()[..], &stored].concat()
}

/// Options with a cache too small for any value block.
pub fn without_room() -> ReaderOptions {
    ReaderOptions::default().cache(BlockCache::new(1 << 16))
}
