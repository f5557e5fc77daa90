//! Checks the rule of liveness on random chains of meta files. The function of `sst-format`, the
//! reader, the writer and the second decoder must agree with a model, which applies FORMAT.md's
//! rule to each description separately.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::live::{MetaTables, live_tables};
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::protection::LiveMeta;
use sst_format::{SequenceNumber, SstMeta, TableFlags};
use sst_reader::Catalog;
use sst_writer::{Publisher, PublisherOptions, StreamingSstWriter, WriterOptions};

use crate::random_files::{AnyError, scratch};
use crate::{CheckError, Row, SplitMix, fail};

/// Number of chains on which the function is checked.
const CHAINS: u64 = 1_000_000;

/// Number of chains from which directories are made, for each kind of directory.
const DIRECTORIES: u64 = 2_000;

/// Number of tables of a chain that its meta files may describe and make obsolete.
const TABLES: u32 = 6;

/// A table that the first meta file of each chain describes and that stays live, so that no
/// directory is empty.
const ALWAYS_LIVE: SequenceNumber = SequenceNumber(TABLES + 1);

/// The sequence number of the first meta file of a chain, above those of all tables.
const FIRST_META: u32 = 20;

/// Checks the function on a million chains, and the reader and the writer on directories made from
/// some of them.
#[must_use]
pub fn check() -> Vec<Row> {
    check_some(CHAINS, DIRECTORIES)
}

/// Like [`check`], with these numbers of chains, and of directories of each kind.
#[must_use]
pub fn check_some(chains: u64, directories: u64) -> Vec<Row> {
    let mut function = Row::new("live tables: the rule");
    for seed in 0..chains {
        let result = check_function(&Chain::random(seed));
        function.count(&format!("chain {seed}"), result);
    }
    let mut sides = Row::new("live tables: reader and writer");
    for seed in 0..directories {
        for is_protected in [false, true] {
            let result = check_directory(seed, is_protected);
            let result = result.unwrap_or_else(|error| fail(error.to_string()));
            sides.count(&format!("chain {seed}, protected: {is_protected}"), result);
        }
    }
    vec![function, sides]
}

/// A chain of meta files, the oldest first, each with a family.
struct Chain {
    metas: Vec<MetaTables>,
    families: Vec<u32>,
    random: SplitMix,
}

impl Chain {
    /// A chain of up to 6 meta files. Most chains make tables obsolete that are described again
    /// later.
    fn random(seed: u64) -> Self {
        let mut random = SplitMix::new(seed);
        let mut metas = Vec::new();
        for sequence in FIRST_META..FIRST_META + 1 + below(&mut random, 6) {
            let mut numbers = |most| -> Vec<SequenceNumber> {
                let count = below(&mut random, most);
                (0..count).map(|_| SequenceNumber(1 + below(&mut random, TABLES))).collect()
            };
            let (obsolete, mut described) = (numbers(4), numbers(5));
            if sequence == FIRST_META {
                described.push(ALWAYS_LIVE);
            }
            metas.push(MetaTables { sequence: SequenceNumber(sequence), obsolete, described });
        }
        let families = metas.iter().map(|_| below(&mut random, 2)).collect();
        Self { metas, families, random }
    }

    /// The live descriptions, the oldest first: the sequence number of the meta file, and the index
    /// of the description in it.
    fn live(&self) -> Vec<(SequenceNumber, usize)> {
        let described = self.metas.iter().enumerate().flat_map(|(place, meta)| {
            (0..meta.described.len()).map(move |index| (place, meta, index))
        });
        let is_live = |&(place, meta, index): &(usize, &MetaTables, usize)| {
            let is_this = |table: &&SequenceNumber| Some(*table) == meta.described.get(index);
            let newer = self.metas.iter().skip(place + 1);
            let mut said_since = newer.flat_map(|meta| meta.obsolete.iter().chain(&meta.described));
            !said_since.any(|table| is_this(&table))
                && !meta.described.iter().skip(index + 1).any(|table| is_this(&table))
        };
        described.filter(is_live).map(|(_, meta, index)| (meta.sequence, index)).collect()
    }
}

fn below(random: &mut SplitMix, bound: u32) -> u32 {
    // The remainder is below `bound`, so it fits into 32 bits.
    u32::try_from(random.word() % u64::from(bound)).unwrap_or(0)
}

fn check_function(chain: &Chain) -> Result<(), CheckError> {
    let live = live_tables(&chain.metas);
    let found: Vec<_> = live.iter().map(|live| (live.meta.sequence, live.index)).collect();
    let expected = chain.live();
    if found != expected {
        return fail(format!("{:?} gives {found:?}, expected {expected:?}", chain.metas));
    }
    Ok(())
}

/// Marks a description with its meta file and its index in it. The mark is stored in the table's
/// flags, which all sides pass on unchanged.
fn mark(meta: SequenceNumber, index: usize) -> Result<TableFlags, AnyError> {
    Ok(TableFlags(meta.0 << 8 | u32::try_from(index)?))
}

/// Writes the directory of a chain. All tables exist, and each has different content.
pub(crate) fn write(dir: &Path, seed: u64, is_protected: bool) -> Result<(), AnyError> {
    fs::create_dir_all(dir)?;
    let mut chain = Chain::random(seed);
    let mut tables = BTreeMap::new();
    for table in (1..=ALWAYS_LIVE.0).map(SequenceNumber) {
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        writer.add((table.0.to_be_bytes(), "value"))?;
        let finished = writer.finish()?;
        let name = FileName { sequence: table, kind: FileKind::Sst };
        fs::write(dir.join(name.to_string()), finished.output)?;
        tables.insert(table, finished.meta);
    }
    let mut listed: Vec<ListedMeta> = Vec::new();
    for (meta, &family) in chain.metas.iter().zip(&chain.families) {
        let described = meta.described.iter().enumerate().map(|(index, table)| {
            let description = tables.get(table).ok_or("a table of the pool")?;
            Ok((*table, SstMeta { flags: mark(meta.sequence, index)?, ..description.clone() }))
        });
        let described = described.collect::<Result<Vec<_>, AnyError>>()?;
        let this =
            ListedMeta { sequence: meta.sequence, checksum: 0, family, hashes: HashRange::FULL };
        let list: Vec<ListedMeta> = listed.iter().copied().chain([this]).collect();
        let version_3 = below(&mut chain.random, 2) == 0;
        let headed = if version_3 { encode_headed(meta, family, &described, &list)? } else { None };
        let (mut bytes, checksum) = match headed {
            Some(encoded) => encoded,
            None => MetaFileParts {
                family,
                obsolete: &meta.obsolete,
                tables: &described,
                live_metas: &list.iter().copied().map(LiveMeta::from).collect::<Vec<_>>(),
                blobs: &[],
                certificates: &[],
            }
            .encode(crc32fast::hash)?,
        };
        if !is_protected {
            let filters_end = MetaFile::parse(&bytes, crc32fast::hash)?.used_keys_range().end;
            bytes.truncate(filters_end);
        }
        let name = FileName { sequence: meta.sequence, kind: FileKind::Meta };
        fs::write(dir.join(name.to_string()), bytes)?;
        listed.push(ListedMeta { checksum, ..this });
    }
    let newest = listed.last().ok_or("a chain has a meta file")?.sequence;
    let current = Current::encode(newest, crc32fast::hash);
    let current = if is_protected { &current[..] } else { current.split_at(4).0 };
    fs::write(dir.join(CURRENT_FILE_NAME), current)?;
    Ok(())
}

/// Encodes a meta file in version 3. `None` if it describes a table twice, which the encoder
/// refuses.
fn encode_headed(
    meta: &MetaTables,
    family: u32,
    described: &[(SequenceNumber, SstMeta)],
    list: &[ListedMeta],
) -> Result<Option<(Vec<u8>, u32)>, AnyError> {
    let tables = described.iter().map(|(table, meta)| DescribedTable::new(*table, meta));
    let parts = MetaFileV3 {
        family,
        obsolete: &meta.obsolete,
        tables: &tables.collect::<Result<Vec<_>, _>>()?,
        kind: CommitKind::Append,
        commit: meta.sequence,
        live_metas: list,
        blobs: &[],
        certificates: &[],
        extension: &[],
    };
    let distinct: std::collections::BTreeSet<_> = meta.described.iter().collect();
    if distinct.len() < meta.described.len() {
        return match parts.encode(crc32fast::hash) {
            Err(sst_format::FormatError::OutOfOrder { .. }) => Ok(None),
            _ => Err("a table is described twice, and the encoder takes it".into()),
        };
    }
    Ok(Some(parts.encode(crc32fast::hash)?))
}

/// Checks the reader, and for protected directories the writer, before and after a commit.
fn check_directory(seed: u64, is_protected: bool) -> Result<Result<(), CheckError>, AnyError> {
    let scratch = scratch()?;
    let dir = scratch.path();
    write(dir, seed, is_protected)?;
    let live = Chain::random(seed).live();
    let expected: Vec<u32> = live
        .iter()
        .map(|(meta, index)| Ok(mark(*meta, *index)?.0))
        .collect::<Result<_, AnyError>>()?;
    let read = || -> Result<Vec<u32>, AnyError> {
        let catalog = Catalog::read(dir)?;
        Ok(catalog.tables.iter().rev().map(|table| table.record.flags.0).collect())
    };
    let mut found = vec![("the reader", read()?)];
    if is_protected {
        let mut publisher = Publisher::open(dir, PublisherOptions::default())?;
        let marks = |publisher: &Publisher| -> Vec<u32> {
            publisher.live_tables().map(|(_, table)| table.flags.0).collect()
        };
        found.push(("the writer", marks(&publisher)));
        publisher.begin().publish()?;
        found.push(("the writer after a commit", marks(&publisher)));
        found.push(("the reader after a commit", read()?));
    }
    Ok(match found.into_iter().find(|(_, found)| *found != expected) {
        Some((who, found)) => fail(format!("{who} finds {found:x?}, expected {expected:x?}")),
        None => Ok(()),
    })
}
