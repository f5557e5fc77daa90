//! The inputs that a driver starts with: the committed corpus, and parts of the reference vectors.

use std::io;
use std::path::Path;

use byteorder::{BigEndian, ByteOrder};
use sst_amqf::QuotientFilter;
use sst_conformance::SplitMix;
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use sst_format::filter::FilterPolicy;
use sst_format::meta_file::MetaFileParts;
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::offset_table::{OFFSET_LEN, OffsetTable, recover_block_count};
use sst_format::protection::LiveMeta;
use sst_format::{BlockIndex, SequenceNumber, SstMeta};
use sst_reader::{BlockRole, ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriterOptions};

use crate::Target;

/// All inputs that a target starts with: those of [`committed`], then those of [`from_vectors`].
///
/// # Errors
///
/// A file cannot be read.
pub fn corpus(root: &Path, target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = committed(root, target)?;
    inputs.extend(from_vectors(root, target)?);
    Ok(inputs)
}

/// The inputs in `fuzz/corpus/<target>`, sorted by file name. A target without a folder has none.
///
/// # Errors
///
/// A file cannot be read.
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

/// Inputs made from `conformance/vectors/reference` and from a fixed random stream. None is longer
/// than the target's limit.
///
/// # Errors
///
/// A vector cannot be read.
pub fn from_vectors(root: &Path, target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = match target.name {
        "block" => blocks(root)?,
        "offset_table" => offset_tables(root)?,
        "index_block" => payloads(root, BlockRole::Index)?,
        "key_block" => payloads(root, BlockRole::Keys)?,
        "explain" => explained(root)?,
        "table" => tables(root)?,
        "meta_file" => meta_files()?,
        "filter" => filters()?,
        "current" => vec![vec![0, 0, 0, 7], b"{\"version\":1}".to_vec()],
        "del_file" => vec![Vec::new(), vec![0, 0, 0, 7, 0, 0, 1, 0], vec![0, 0, 0, 7, 1]],
        // Unedited, and with the chain repaired or the protection removed; of both kinds.
        "directory" => [0, 1, 2, 8, 9, 10].map(|how| vec![how]).to_vec(),
        "file_name" => vec![b"00000042.sst".to_vec(), b"123456789.meta".to_vec()],
        _ => Vec::new(),
    };
    // Other targets build tables or commits from any bytes, so random bytes suffice.
    let mut random = SplitMix::new(target.name.len() as u64);
    for len in [4, 16, 64, 256, target.max_len] {
        inputs.push(random.bytes(len));
    }
    inputs.retain(|input| input.len() <= target.max_len);
    Ok(inputs)
}

/// The tables of the vectors, sorted by file name.
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

/// The error for an invalid vector or input. No driver may start without one of them.
fn invalid_vector(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

fn last_word(bytes: &[u8]) -> io::Result<u32> {
    let word =
        bytes.last_chunk::<OFFSET_LEN>().ok_or_else(|| invalid_vector("shorter than an offset"))?;
    Ok(BigEndian::read_u32(word))
}

/// The uncompressed payloads of all blocks of one kind. The payload of an index block is preceded
/// by the number of blocks of its table.
fn payloads(root: &Path, role: BlockRole) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for bytes in tables(root)? {
        let options = ReaderOptions::default();
        let table = StaticSortedFile::from_bytes("vector", bytes, None, &options)
            .map_err(invalid_vector)?;
        let blocks = table.inspect().map_err(invalid_vector)?.blocks;
        for block in blocks.iter().filter(|block| block.role == role) {
            let payload = table.block(block.index).map_err(invalid_vector)?;
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

/// Blocks as stored.
fn blocks(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for bytes in tables(root)? {
        let (file_len, last_word) = (bytes.len() as u64, last_word(&bytes)?);
        let count = recover_block_count(file_len, last_word).map_err(invalid_vector)?;
        let (_, table) = bytes.split_at(last_word as usize);
        let table = OffsetTable::parse(table, count, file_len).map_err(invalid_vector)?;
        for block in (0..count).map(BlockIndex) {
            let range = table.range(block).map_err(invalid_vector)?;
            let block = bytes.get(range.start as usize..range.end as usize);
            inputs.push(block.ok_or_else(|| invalid_vector("a block behind the end"))?.to_vec());
        }
    }
    Ok(inputs)
}

fn offset_tables(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let of_table = |bytes: &Vec<u8>| {
        let (_, table) = bytes.split_at(last_word(bytes)? as usize);
        Ok([&[0], table].concat())
    };
    tables(root)?.iter().map(of_table).collect()
}

/// Inputs of the other targets, preceded by two bytes that select the structure.
fn explained(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    let mut add = |structure: u8, bodies: Vec<Vec<u8>>| {
        inputs.extend(bodies.iter().map(|body| [&[structure, 1], body.as_slice()].concat()));
    };
    let last_words = tables(root)?
        .iter()
        .map(|table| Ok(last_word(table)?.to_be_bytes().to_vec()))
        .collect::<io::Result<Vec<_>>>()?;
    // For a dump, an index block is not preceded by the number of blocks.
    let index_blocks = payloads(root, BlockRole::Index)?;
    let index_blocks = index_blocks.iter().map(|input| input.split_at(2).1.to_vec()).collect();
    add(0, blocks(root)?);
    add(1, payloads(root, BlockRole::Keys)?);
    add(2, index_blocks);
    add(3, payloads(root, BlockRole::SmallValues)?);
    add(4, last_words);
    add(0x85, meta_files()?);
    add(6, vec![vec![0, 0, 0, 7]]);
    add(7, blocks(root)?);
    Ok(inputs)
}

/// Protected meta files of all versions, with zero, one and two tables.
fn meta_files() -> io::Result<Vec<Vec<u8>>> {
    let table = |key: &str| -> io::Result<SstMeta> {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut writer = StreamingSstWriter::new(Vec::new(), options);
        writer.add((key, "value")).map_err(invalid_vector)?;
        Ok(writer.finish().map_err(invalid_vector)?.meta)
    };
    let described = [(SequenceNumber(1), table("a")?), (SequenceNumber(2), table("b")?)];
    let content = ContentDigest::from_bytes(&[5; CONTENT_DIGEST_LEN]);
    let certificates = [FamilyCertificate { family: 0, content }];
    let live_metas = [1, 3].map(|n| LiveMeta { sequence: SequenceNumber(n), checksum: n });
    let mut files = Vec::new();
    for count in 0..=described.len() {
        let (tables, _) = described.split_at(count);
        let (certificates, _) = certificates.split_at(count.min(1));
        let parts = MetaFileParts {
            family: 0,
            obsolete: &[SequenceNumber(9)],
            tables,
            live_metas: &live_metas,
            blobs: &[],
            certificates,
        };
        files.push(parts.encode(crc32fast::hash).map_err(invalid_vector)?.0);
        files.push(headed_meta_file(tables, &live_metas, certificates)?);
    }
    Ok(files)
}

/// A meta file of format version 3.
fn headed_meta_file(
    tables: &[(SequenceNumber, SstMeta)],
    live_metas: &[LiveMeta],
    certificates: &[FamilyCertificate],
) -> io::Result<Vec<u8>> {
    let tables = tables.iter().map(|(sequence, meta)| DescribedTable::new(*sequence, meta));
    let listed = live_metas.iter().map(|live| ListedMeta {
        sequence: live.sequence,
        checksum: live.checksum,
        family: 0,
        hashes: HashRange::FULL,
    });
    let parts = MetaFileV3 {
        family: 0,
        obsolete: &[SequenceNumber(9)],
        tables: &tables.collect::<Result<Vec<_>, _>>().map_err(invalid_vector)?,
        kind: CommitKind::Append,
        commit: SequenceNumber(3),
        live_metas: &listed.collect::<Vec<_>>(),
        blobs: &[],
        certificates,
        extension: &[0, 0, 0, 9, 0, 0, 0, 1, 7],
    };
    Ok(parts.encode(crc32fast::hash).map_err(invalid_vector)?.0)
}

/// Filters of few and of many hashes, preceded by the hashes to query.
fn filters() -> io::Result<Vec<Vec<u8>>> {
    let mut random = SplitMix::new(1);
    [0, 1, 50, 200, 600]
        .into_iter()
        .map(|count| {
            let mut hashes: Vec<u64> = (0..count).map(|_| random.word()).collect();
            hashes.sort_unstable();
            let mut builder = QuotientFilter::default().builder();
            builder.add_hashes(&hashes);
            let mut input: Vec<u8> = hashes.iter().take(4).flat_map(|h| h.to_be_bytes()).collect();
            input.resize(32, 0);
            input.extend(builder.finish().map_err(invalid_vector)?);
            Ok(input)
        })
        .collect()
}
