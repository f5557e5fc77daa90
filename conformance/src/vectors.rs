//! The reference vectors, parsed as described in their README.md.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::splitmix::SplitMix;
use crate::{CheckError, TestEntry, TestValue, fail};

/// The index of all vectors.
#[derive(Debug, Deserialize)]
struct Manifest {
    cases: Vec<CaseRecord>,
}

/// One case in the manifest.
#[derive(Clone, Debug, Deserialize)]
struct CaseRecord {
    name: String,
    file: String,
    input: String,
    entries: u64,
    distinct_keys: u64,
    multi_value: bool,
    flags: u32,
    min_hash: String,
    max_hash: String,
    block_count: u16,
    size: u64,
    file_crc32: String,
    amqf: String,
    absent: Vec<(String, String)>,
    blocks: Vec<serde_json::Value>,
}

/// A block that the reference wrote, as the manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRecord {
    /// Kind: `small`, `medium`, `key-var-hash`, `key-var-nohash`, `key-fixed-hash`,
    /// `key-fixed-nohash`, `index`.
    pub kind: String,
    /// Offset of the block, in bytes.
    pub start: u64,
    /// Length of the block without the header, in bytes.
    pub stored_len: u64,
    /// The size word of the block's header.
    pub uncompressed_size: u64,
    /// The checksum in the block's header.
    pub checksum: String,
    /// Number of entries of a key block, or of key blocks of an index block.
    pub count: Option<u64>,
}

/// One vector.
#[derive(Clone, Debug)]
pub struct Case {
    /// The vector's name.
    pub name: String,
    /// The path of the table's file.
    pub path: PathBuf,
    /// The table's bytes.
    pub bytes: Vec<u8>,
    /// The entries, in file order.
    pub entries: Vec<TestEntry>,
    /// Number of distinct pairs of hash and key.
    pub distinct_keys: u64,
    /// Whether some key has several entries.
    pub multi_value: bool,
    /// Flags of the table.
    pub flags: u32,
    /// Hash of the first entry.
    pub min_hash: u64,
    /// Hash of the last entry.
    pub max_hash: u64,
    /// Number of blocks.
    pub block_count: u16,
    /// Filter bytes.
    pub filter: Vec<u8>,
    /// Hashes and keys that the table does not have.
    pub absent: Vec<(u64, Vec<u8>)>,
    /// The blocks.
    pub blocks: Vec<BlockRecord>,
}

/// Reads all vectors of the folder `dir`.
///
/// # Errors
///
/// [`CheckError`] if a file is missing, does not match the manifest, or does not parse.
pub fn load(dir: &Path) -> Result<Vec<Case>, CheckError> {
    let text = read(&dir.join("manifest.json"))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| CheckError::new(format!("manifest.json: {error}")))?;
    manifest.cases.iter().map(|record| load_case(dir, record)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, CheckError> {
    fs::read(path).map_err(|error| CheckError::new(format!("{}: {error}", path.display())))
}

fn load_case(dir: &Path, record: &CaseRecord) -> Result<Case, CheckError> {
    let name = &record.name;
    let path = dir.join(&record.file);
    let bytes = read(&path)?;
    let crc = format!("{:08x}", crc32fast::hash(&bytes));
    if bytes.len() as u64 != record.size || crc != record.file_crc32 {
        return fail(format!("{name}: {} is not the file of the manifest", record.file));
    }
    let text = String::from_utf8(read(&dir.join(&record.input))?)
        .map_err(|error| CheckError::new(format!("{name}: {error}")))?;
    let entries = text
        .lines()
        .zip(1..)
        .map(|(line, number)| {
            parse_entry(line).ok_or_else(|| CheckError::new(format!("{}:{number}", record.input)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if entries.len() as u64 != record.entries {
        return fail(format!("{name}: {} has {} entries", record.input, entries.len()));
    }
    let bad = |what: &str| CheckError::new(format!("{name}: bad {what} in the manifest"));
    let hash = |text: &str| u64::from_str_radix(text, 16).map_err(|_| bad("hash"));
    Ok(Case {
        name: name.clone(),
        path,
        bytes,
        entries,
        distinct_keys: record.distinct_keys,
        multi_value: record.multi_value,
        flags: record.flags,
        min_hash: hash(&record.min_hash)?,
        max_hash: hash(&record.max_hash)?,
        block_count: record.block_count,
        filter: from_hex(&record.amqf).ok_or_else(|| bad("filter"))?,
        absent: record
            .absent
            .iter()
            .map(|(h, key)| Ok((hash(h)?, from_hex(key).ok_or_else(|| bad("key"))?)))
            .collect::<Result<_, CheckError>>()?,
        blocks: record
            .blocks
            .iter()
            .map(|block| parse_block(block).ok_or_else(|| bad("block")))
            .collect::<Result<_, _>>()?,
    })
}

fn parse_block(block: &serde_json::Value) -> Option<BlockRecord> {
    Some(BlockRecord {
        kind: block.get(0)?.as_str()?.to_owned(),
        start: block.get(1)?.as_u64()?,
        stored_len: block.get(2)?.as_u64()?,
        uncompressed_size: block.get(3)?.as_u64()?,
        checksum: block.get(4)?.as_str()?.to_owned(),
        count: block.get(5).and_then(serde_json::Value::as_u64),
    })
}

fn parse_entry(line: &str) -> Option<TestEntry> {
    let mut columns = line.split('\t');
    let hash = u64::from_str_radix(columns.next()?, 16).ok()?;
    let key = from_hex(columns.next()?)?;
    let (kind, spec) = (columns.next()?, columns.next()?);
    let value = match kind {
        "deleted" => TestValue::Deleted,
        "blob" => TestValue::Blob(spec.strip_prefix("b:")?.parse().ok()?),
        "inline" => TestValue::Inline(parse_value(spec)?),
        "small" => TestValue::Small(parse_value(spec)?),
        "medium" => TestValue::Medium(parse_value(spec)?),
        "raw" => {
            let value = parse_value(spec)?;
            let uncompressed_size = columns.next()?.parse().ok()?;
            let block = match columns.next()? {
                "-" => value.clone(),
                hex => from_hex(hex)?,
            };
            TestValue::Raw { value, uncompressed_size, block }
        }
        _ => return None,
    };
    Some(TestEntry { hash, key, value })
}

/// Parses the specification of a value: `x:<hex>`, `f:<byte>:<len>`, `r:<seed>:<len>`,
/// `s:<seed>:<len>`.
fn parse_value(spec: &str) -> Option<Vec<u8>> {
    let (form, rest) = spec.split_once(':')?;
    if form == "x" {
        return from_hex(rest);
    }
    let (what, len) = rest.split_once(':')?;
    let (what, len) = (u64::from_str_radix(what, 16).ok()?, len.parse().ok()?);
    match form {
        "f" => Some(vec![u8::try_from(what).ok()?; len]),
        "r" => Some(SplitMix::new(what).bytes(len)),
        "s" => Some(SplitMix::new(what).half_random(len)),
        _ => None,
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok());
    rest.is_empty().then(|| bytes.collect()).flatten()
}
