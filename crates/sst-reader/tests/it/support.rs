//! Tables and directories for the tests, made with the encoders of sst-format: no writer is needed.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use sst_format::block::{BlockHeader, Encoding};
use sst_format::content_digest::{ContentDigest, FamilyCertificate, ValueDigest};
use sst_format::current::Current;
use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::{FilterBytes, FilterPolicy};
use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::meta_file::MetaFileParts;
use sst_format::offset_table::encode_offset_table;
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, BlockIndex, SequenceNumber, SstMeta, TableFlags, TableProtection};
use sst_reader::{ReaderOptions, StaticSortedFile, hash_key};
use tempfile::TempDir;

/// Entries of one key block, but for entries of one hash, which stay together.
const ENTRIES_PER_KEY_BLOCK: usize = 40;

/// The value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Inline(Vec<u8>),
    Small(Vec<u8>),
    Medium(Vec<u8>),
    Blob(u32),
    Deleted,
}

impl Value {
    /// The bytes, if they are in the table.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(value) | Self::Small(value) | Self::Medium(value) => Some(value),
            Self::Blob(_) | Self::Deleted => None,
        }
    }
}

pub(crate) type Entry = (Vec<u8>, Value);

pub(crate) fn small(text: &str) -> Value {
    Value::Small(text.as_bytes().to_vec())
}

/// Keys of four bytes with the values that `value` gives them.
pub(crate) fn numbered(numbers: std::ops::Range<u32>, value: impl Fn(u32) -> Value) -> Vec<Entry> {
    numbers.map(|i| (i.to_be_bytes().to_vec(), value(i))).collect()
}

/// One value of each kind in turn, under keys of several lengths.
pub(crate) fn of_all_kinds(count: u32) -> Vec<Entry> {
    let value = |i: u32| match i % 7 {
        0 => Value::Inline(vec![1; i as usize % 9]),
        1 | 2 => Value::Small(i.to_be_bytes().repeat(20)),
        3 => Value::Medium(i.to_be_bytes().repeat(1_500)),
        4 => Value::Deleted,
        5 => Value::Blob(i % 3 + 1),
        _ => Value::Small(Vec::new()),
    };
    let key = |i: u32| [&i.to_be_bytes()[..], &[b'k'; 40][..i as usize % 3 * 20]].concat();
    (0..count).map(|i| (key(i), value(i))).collect()
}

/// A table and its description.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: SstMeta,
}

impl Table {
    /// A table with these entries; those of one key stay in their order. Value blocks are
    /// compressed.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        Self::with_hashes(entries, hash_key)
    }

    /// As [`Table::new`], with other hashes: of keys over 32 bytes, whose hashes are stored.
    pub(crate) fn with_hashes(entries: &[Entry], hash_of: impl Fn(&[u8]) -> u64) -> Self {
        let mut sorted: Vec<_> = entries.iter().map(|(key, v)| (hash_of(key), key, v)).collect();
        sorted.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let (mut blocks, mut index) = (Blocks::default(), IndexBlockEncoder::new());
        for group in groups(&sorted) {
            let block = blocks.push_entries(group);
            index.push(group[0].0, block);
        }
        let index = index.finish().unwrap();
        blocks.push(&index, false);
        let Blocks { mut file, ends, headers } = blocks;
        let block_count = u16::try_from(ends.len()).unwrap();
        encode_offset_table(ends, &mut file);
        let entry_count = sorted.len() as u64;
        let meta = SstMeta {
            block_count,
            min_hash: sorted[0].0,
            max_hash: sorted[sorted.len() - 1].0,
            file_size: file.len() as u64,
            flags: TableFlags(0),
            filter: FilterBytes::new([]),
            protection: Some(TableProtection { entry_count, block_headers: headers.into() }),
        };
        Self { bytes: file, meta }
    }
}

impl Table {
    /// The same table with a filter of its hashes.
    pub(crate) fn filtered(mut self, policy: &dyn FilterPolicy) -> Self {
        let options = ReaderOptions::default();
        let table =
            StaticSortedFile::from_bytes("unfiltered", self.bytes.clone(), None, &options).unwrap();
        let hashes: Vec<u64> = table.iter().map(|entry| entry.unwrap().hash).collect();
        let mut builder = policy.builder();
        builder.add_hashes(&hashes);
        self.meta.filter = FilterBytes::new(builder.finish().unwrap());
        self
    }
}

type Sorted<'a> = (u64, &'a Vec<u8>, &'a Value);

/// Entries by key block.
fn groups<'s, 'a>(sorted: &'s [Sorted<'a>]) -> Vec<&'s [Sorted<'a>]> {
    let (mut groups, mut rest) = (Vec::new(), sorted);
    while !rest.is_empty() {
        let mut len = ENTRIES_PER_KEY_BLOCK.min(rest.len());
        while len < rest.len() && rest[len].0 == rest[len - 1].0 {
            len += 1;
        }
        let (group, behind) = rest.split_at(len);
        groups.push(group);
        rest = behind;
    }
    groups
}

#[derive(Default)]
struct Blocks {
    file: Vec<u8>,
    ends: Vec<u32>,
    headers: Vec<BlockHeader>,
}

impl Blocks {
    fn push(&mut self, payload: &[u8], compressed: bool) -> BlockIndex {
        let (encoding, stored) = if compressed {
            let uncompressed_len = u32::try_from(payload.len()).unwrap();
            (Encoding::Lz4 { uncompressed_len }, lz4_flex::block::compress(payload))
        } else {
            (Encoding::Raw, payload.to_vec())
        };
        let header = BlockHeader { encoding, checksum: crc32fast::hash(&stored) };
        header.encode(&mut self.file);
        self.file.extend_from_slice(&stored);
        self.headers.push(header);
        self.ends.push(u32::try_from(self.file.len()).unwrap());
        BlockIndex(u16::try_from(self.ends.len() - 1).unwrap())
    }

    /// The value blocks of a key block, then the key block.
    fn push_entries(&mut self, group: &[Sorted<'_>]) -> BlockIndex {
        let mut values = Vec::new();
        for (_, _, value) in group {
            if let Value::Small(value) = value {
                values.extend_from_slice(value);
            }
        }
        let small_block = if values.is_empty() { None } else { Some(self.push(&values, true)) };
        let (mut offset, mut references) = (0, Vec::new());
        for (_, _, value) in group {
            references.push(match value {
                Value::Inline(value) => ValueRef::Inline(value),
                Value::Small(value) => {
                    let len = u16::try_from(value.len()).unwrap();
                    let block = small_block.unwrap_or_else(|| self.push(b"unused", false));
                    offset += u32::from(len);
                    ValueRef::Small { block, len, offset: offset - u32::from(len) }
                }
                Value::Medium(value) => ValueRef::Medium(self.push(value, value[3] % 2 == 0)),
                Value::Blob(number) => ValueRef::Blob(BlobNumber(*number)),
                Value::Deleted => ValueRef::Deleted,
            });
        }
        let shape =
            group.iter().zip(&references).fold(KeyBlockShape::default(), |shape, (e, r)| {
                shape.with_entry(e.1.len(), r.entry_type().unwrap()).unwrap()
            });
        let mut payload = Vec::new();
        let mut encoder = KeyBlockEncoder::new(&shape, &mut payload);
        for ((hash, key, _), reference) in group.iter().zip(references) {
            encoder.push(*hash, key, reference);
        }
        encoder.finish().unwrap();
        self.push(&payload, false)
    }
}

/// A protected directory that tables are committed to.
#[derive(Debug)]
pub(crate) struct Directory {
    dir: TempDir,
    next: u32,
    live_metas: Vec<LiveMeta>,
    blobs: Vec<BlobRecord>,
}

/// One commit.
#[derive(Default)]
pub(crate) struct Commit<'a> {
    pub(crate) family: u32,
    pub(crate) tables: &'a [Table],
    /// Tables that it makes obsolete, by their numbers.
    pub(crate) obsolete: &'a [u32],
    pub(crate) certificates: &'a [FamilyCertificate],
}

impl Directory {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, next: 1, live_metas: Vec::new(), blobs: Vec::new() }
    }

    /// A directory with one table of these entries.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut directory = Self::new();
        directory.commit(Commit { tables: &[Table::new(entries)], ..Commit::default() });
        directory
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, number: u32, kind: FileKind) -> std::path::PathBuf {
        let name = FileName { sequence: SequenceNumber(number), kind };
        self.path().join(name.to_string())
    }

    /// Writes a blob file, for tables of the next commit.
    pub(crate) fn blob(&mut self, number: u32, value: &[u8]) {
        let header = BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(value) };
        let bytes = [&header.to_bytes()[..], value].concat();
        fs::write(self.file(number, FileKind::Blob), &bytes).unwrap();
        let file_size = bytes.len() as u64;
        self.blobs.push(BlobRecord { number: BlobNumber(number), file_size, header });
        self.next = self.next.max(number + 1);
    }

    /// Publishes, and returns the numbers of the tables.
    pub(crate) fn commit(&mut self, commit: Commit<'_>) -> Vec<u32> {
        let mut tables = Vec::new();
        for table in commit.tables {
            fs::write(self.file(self.next, FileKind::Sst), &table.bytes).unwrap();
            tables.push((SequenceNumber(self.next), table.meta.clone()));
            self.next += 1;
        }
        let sequence = SequenceNumber(self.next);
        self.next += 1;
        self.live_metas.push(LiveMeta { sequence, checksum: 0 });
        let obsolete: Vec<_> = commit.obsolete.iter().copied().map(SequenceNumber).collect();
        self.blobs.sort_by_key(|blob| blob.number);
        let parts = MetaFileParts {
            family: commit.family,
            obsolete: &obsolete,
            tables: &tables,
            live_metas: &self.live_metas,
            blobs: &self.blobs,
            certificates: commit.certificates,
        };
        let (bytes, checksum) = parts.encode(crc32fast::hash).unwrap();
        self.live_metas.last_mut().unwrap().checksum = checksum;
        fs::write(self.file(sequence.0, FileKind::Meta), bytes).unwrap();
        let current = Current::encode(sequence, crc32fast::hash);
        fs::write(self.path().join("CURRENT"), current).unwrap();
        self.blobs.clear();
        tables.into_iter().map(|(sequence, _)| sequence.0).collect()
    }

    /// Changes one byte of a file, counted from its end.
    pub(crate) fn damage(&self, number: u32, kind: FileKind, from_end: usize) {
        let path = self.file(number, kind);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    pieces.iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece)).finalize().into()
}

/// The certificate of family 0 if these are its live entries.
pub(crate) fn certificate(entries: &[Entry]) -> FamilyCertificate {
    let mut content = ContentDigest::default();
    for (key, value) in entries {
        if let Some(value) = value.bytes() {
            content.add_value(key, 0, &ValueDigest::of(value, sha256), sha256);
        }
    }
    FamilyCertificate { family: 0, content }
}
