//! Where inputs start from: the reference vectors taken apart, and what earlier runs found worth keeping.

use std::io;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_conformance::SplitMix;
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use sst_format::filter::FilterPolicy;
use sst_format::meta_file::MetaFileParts;
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, HeadedMetaFile, ListedMeta};
use sst_format::offset_table::{OffsetTable, recover_block_count};
use sst_format::protection::LiveMeta;
use sst_format::{BlockIndex, SequenceNumber, SstMeta};
use sst_reader::{BlockRole, ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriterOptions};

use crate::Target;

/// All inputs that a target starts from: [`committed`] ones, then [`from_vectors`].
///
/// # Errors
///
/// If they cannot be read.
pub fn corpus(root: &Path, target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = committed(root, target)?;
    inputs.extend(from_vectors(root, target)?);
    Ok(inputs)
}

/// The inputs in `fuzz/corpus/<target>`, in the order of their names.
///
/// # Errors
///
/// If they cannot be read. A target without a folder has none.
pub fn committed(root: &Path, target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let dir = root.join("fuzz/corpus").join(target.name);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = dir
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

/// Inputs made of `conformance/vectors/reference` and of a fixed stream, none longer than the target takes.
///
/// # Errors
///
/// If the vectors cannot be read.
pub fn from_vectors(root: &Path, target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = match target.name {
        "block" => blocks(root)?,
        "offset_table" => offset_tables(root)?,
        "index_block" => payloads(root, BlockRole::Index)?,
        "key_block" => payloads(root, BlockRole::Keys)?,
        "explain" => explained(root)?,
        "table" => tables(root)?,
        "meta_file" => meta_files(),
        "filter" => filters(),
        "current" => vec![vec![0, 0, 0, 7], b"{\"version\":1}".to_vec()],
        "del_file" => vec![Vec::new(), vec![0, 0, 0, 7, 0, 0, 1, 0], vec![0, 0, 0, 7, 1]],
        "file_name" => vec![b"00000042.sst".to_vec(), b"123456789.meta".to_vec()],
        _ => Vec::new(),
    };
    // Targets that make what they test of their input can start from anything.
    let mut random = SplitMix::new(target.name.len() as u64);
    for len in [4, 16, 64, 256, target.max_len] {
        inputs.push(random.bytes(len));
    }
    inputs.retain(|input| input.len() <= target.max_len);
    Ok(inputs)
}

/// The tables of the vectors, in the order of their names.
fn tables(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = root
        .join("conformance/vectors/reference")
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sst"));
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

fn open(bytes: &[u8]) -> Option<StaticSortedFile> {
    let options = ReaderOptions::default();
    StaticSortedFile::from_bytes("vector", bytes.to_vec(), None, &options).ok()
}

/// Uncompressed payloads of the blocks of one kind. Those of an index block come behind the number of blocks.
fn payloads(root: &Path, role: BlockRole) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for table in tables(root)?.iter().filter_map(|bytes| open(bytes)) {
        let blocks = table.inspect().map(|info| info.blocks).unwrap_or_default();
        for block in blocks.iter().filter(|block| block.role == role) {
            let Ok(payload) = table.block(block.index) else { continue };
            let mut input = Vec::new();
            if role == BlockRole::Index {
                input.extend(table.block_count().to_be_bytes());
            }
            input.extend_from_slice(&payload);
            inputs.push(input);
        }
    }
    Ok(inputs)
}

/// Blocks as they are stored.
fn blocks(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for bytes in tables(root)? {
        let last_word = bytes.last_chunk().map_or(0, |word| u32::from_be_bytes(*word));
        let Ok(count) = recover_block_count(bytes.len() as u64, last_word) else { continue };
        let table = bytes.get(last_word as usize..).unwrap_or_default();
        let Ok(table) = OffsetTable::parse(table, count, bytes.len() as u64) else { continue };
        for range in (0..count).filter_map(|block| table.range(BlockIndex(block)).ok()) {
            let block = bytes.get(range.start as usize..range.end as usize);
            inputs.extend(block.map(<[u8]>::to_vec));
        }
    }
    Ok(inputs)
}

fn offset_tables(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let table_of = |bytes: &Vec<u8>| {
        let start = u32::from_be_bytes(*bytes.last_chunk()?) as usize;
        Some([&[0], bytes.get(start..)?].concat())
    };
    Ok(tables(root)?.iter().filter_map(table_of).collect())
}

/// The structures above, behind two bytes that say what they are.
fn explained(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    let mut add = |what: u8, bodies: Vec<Vec<u8>>| {
        inputs.extend(bodies.iter().map(|body| [&[what, 1], body.as_slice()].concat()));
    };
    add(0, blocks(root)?);
    add(1, payloads(root, BlockRole::Keys)?);
    let index_blocks = payloads(root, BlockRole::Index)?;
    add(2, index_blocks.iter().map(|input| input.get(2..).unwrap_or_default().to_vec()).collect());
    add(3, payloads(root, BlockRole::SmallValues)?);
    add(4, tables(root)?.iter().filter_map(|t| Some(t.last_chunk::<4>()?.to_vec())).collect());
    add(0x85, meta_files());
    add(6, vec![vec![0, 0, 0, 7]]);
    add(7, blocks(root)?);
    Ok(inputs)
}

/// Meta files of no, one and two tables, protected, of all versions.
fn meta_files() -> Vec<Vec<u8>> {
    let table = |key: &str| -> Option<SstMeta> {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut writer = StreamingSstWriter::new(Vec::new(), options);
        writer.add((key, "value")).ok()?;
        Some(writer.finish().ok()?.meta)
    };
    let described: Vec<(SequenceNumber, SstMeta)> =
        (1..).map(SequenceNumber).zip(["a", "b"].into_iter().filter_map(table)).collect();
    let content = ContentDigest::from_bytes(&[5; CONTENT_DIGEST_LEN]);
    let certificates = [FamilyCertificate { family: 0, content }];
    let live_metas = [1, 3].map(|n| LiveMeta { sequence: SequenceNumber(n), checksum: n });
    let listed = live_metas.map(|live| ListedMeta {
        sequence: live.sequence,
        checksum: live.checksum,
        family: 0,
        hashes: HashRange::FULL,
    });
    let headed = (0..=described.len()).filter_map(|count| {
        let tables = described.get(..count)?.iter();
        let tables = tables.map(|(sequence, meta)| DescribedTable::new(*sequence, meta));
        let parts = HeadedMetaFile {
            family: 0,
            obsolete: &[SequenceNumber(9)],
            tables: &tables.collect::<Result<Vec<_>, _>>().ok()?,
            kind: CommitKind::Append,
            commit: SequenceNumber(3),
            live_metas: &listed,
            blobs: &[],
            certificates: certificates.get(..count.min(1))?,
            extension: b"later",
        };
        Some(parts.encode(crc32fast::hash).ok()?.0)
    });
    let headed: Vec<Vec<u8>> = headed.collect();
    (0..=described.len())
        .filter_map(|count| {
            let parts = MetaFileParts {
                family: 0,
                obsolete: &[SequenceNumber(9)],
                tables: described.get(..count)?,
                live_metas: &live_metas,
                blobs: &[],
                certificates: certificates.get(..count.min(1))?,
            };
            Some(parts.encode(crc32fast::hash).ok()?.0)
        })
        .chain(headed)
        .collect()
}

/// Filters of few and of many hashes, behind hashes to be asked.
fn filters() -> Vec<Vec<u8>> {
    let mut random = SplitMix::new(1);
    [0, 1, 50, 200, 600]
        .into_iter()
        .filter_map(|count| {
            let mut hashes: Vec<u64> = (0..count).map(|_| random.word()).collect();
            hashes.sort_unstable();
            let mut builder = QuotientFilter::default().builder();
            builder.add_hashes(&hashes);
            let mut input: Vec<u8> = hashes.iter().take(4).flat_map(|h| h.to_be_bytes()).collect();
            input.resize(32, 0);
            input.extend(builder.finish().ok()?);
            Some(input)
        })
        .collect()
}
