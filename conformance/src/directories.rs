//! Cache directories that Next.js 16.3.0 wrote, read unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use sst_amqf::QuotientFilter;
use sst_reader::{
    Access, Catalog, CatalogTable, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    verify_directory,
};

use crate::digest::{EntryDigest, sha256};
use crate::{CheckError, Row, fail};

/// The contents of `expected.json`, which describes a directory.
#[derive(Debug, Deserialize)]
struct Expected {
    current: u32,
    /// Length and SHA-256 by file name.
    files: BTreeMap<String, (u64, String)>,
    ssts: Vec<ExpectedTable>,
}

#[derive(Debug, Deserialize)]
struct ExpectedTable {
    sequence: u32,
    family: u32,
    block_count: u16,
    min_hash: String,
    max_hash: String,
    size: u64,
    flags: u32,
    entries: u64,
    key_lengths: BTreeMap<String, u64>,
    entry_types: BTreeMap<String, u64>,
    amqf_len: u64,
    amqf_sha256: String,
    sha256: String,
}

/// Checks every `turbopack-*` directory in the folder `dir`. Each directory has a row, with one
/// case for each file and each table.
#[must_use]
pub fn check_all(dir: &Path) -> Vec<Row> {
    match names(dir) {
        Ok(names) => names.iter().map(|name| check_directory(&dir.join(name), name)).collect(),
        Err(error) => {
            let mut row = Row::new("directories");
            row.count("list", Err(error));
            vec![row]
        }
    }
}

/// Names of the original's directories in a folder, at least one.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, CheckError> {
    let failed = |error| CheckError::new(format!("{}: {error}", dir.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names
            .extend(name.to_str().filter(|name| name.starts_with("turbopack-")).map(str::to_owned));
    }
    names.sort();
    if names.is_empty() {
        return fail(format!("{}: no directories of the original", dir.display()));
    }
    Ok(names)
}

fn check_directory(dir: &Path, name: &str) -> Row {
    let mut row = Row::new(format!("directory {name}"));
    let expected = match read_expected(dir) {
        Ok(expected) => expected,
        Err(error) => {
            row.count("expected.json", Err(error));
            return row;
        }
    };
    for (file, (len, digest)) in &expected.files {
        row.count(file, check_file(&dir.join(file), *len, digest));
    }
    row.count("catalog", check_catalog(dir, &expected));
    match Catalog::read(dir) {
        Ok(catalog) => {
            for table in &catalog.tables {
                let case = format!("{:08}.sst", table.sequence.0);
                row.count(&case, check_table(dir, table, &expected));
            }
            for family in catalog.families() {
                row.count(&format!("family {family}"), check_family(dir, family));
            }
        }
        Err(error) => row.count("catalog", fail(error.to_string())),
    }
    row.count("verify", check_verify(dir));
    row
}

fn read_expected(dir: &Path) -> Result<Expected, CheckError> {
    let path = dir.join("expected.json");
    let text = fs::read(&path).map_err(|error| CheckError::new(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| CheckError::new(error.to_string()))
}

fn check_file(path: &Path, len: u64, digest: &str) -> Result<(), CheckError> {
    let bytes = fs::read(path).map_err(|error| CheckError::new(error.to_string()))?;
    if bytes.len() as u64 != len || sha256(&bytes) != digest {
        return fail("is not the file of expected.json");
    }
    Ok(())
}

fn check_catalog(dir: &Path, expected: &Expected) -> Result<(), CheckError> {
    let catalog = Catalog::read(dir).map_err(failed)?;
    if catalog.commit.0 != expected.current || catalog.is_protected {
        return fail("commit or protection differs");
    }
    let mut found: Vec<u32> = catalog.tables.iter().map(|table| table.sequence.0).collect();
    let mut wanted: Vec<u32> = expected.ssts.iter().map(|table| table.sequence).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    if found != wanted {
        return fail(format!("live tables are {found:?}, expected {wanted:?}"));
    }
    Ok(())
}

fn failed(error: ReadError) -> CheckError {
    CheckError::new(error.to_string())
}

fn check_table(dir: &Path, table: &CatalogTable, expected: &Expected) -> Result<(), CheckError> {
    let wanted = expected.ssts.iter().find(|wanted| wanted.sequence == table.sequence.0);
    let Some(wanted) = wanted else { return fail("is not in expected.json") };
    let meta = &table.meta().map_err(failed)?;
    let described = (table.family, meta.block_count, meta.file_size, meta.flags.0);
    let hashes = (format!("{:016x}", meta.min_hash), format!("{:016x}", meta.max_hash));
    if described != (wanted.family, wanted.block_count, wanted.size, wanted.flags)
        || hashes != (wanted.min_hash.clone(), wanted.max_hash.clone())
    {
        return fail("description differs");
    }
    let filter = meta.filter.as_slice();
    if filter.len() as u64 != wanted.amqf_len || sha256(filter) != wanted.amqf_sha256 {
        return fail("filter differs");
    }
    for access in [Access::Map, Access::Read] {
        let options = ReaderOptions::default().filter(QuotientFilter::default()).access(access);
        let file = StaticSortedFile::open(table.path(dir), meta, &options).map_err(failed)?;
        check_entries(&file, wanted)?;
    }
    Ok(())
}

fn check_entries(file: &StaticSortedFile, wanted: &ExpectedTable) -> Result<(), CheckError> {
    let mut digest = EntryDigest::default();
    let mut count = 0;
    let mut cursor = file.cursor();
    while let Some(entry) = cursor.next().map_err(failed)? {
        digest.add(entry).map_err(failed)?;
        count += 1;
    }
    if count != wanted.entries || digest.finish() != wanted.sha256 {
        return fail(format!("decodes to {count} entries of another digest"));
    }
    let info = file.inspect().map_err(failed)?;
    let types: BTreeMap<String, u64> =
        info.entry_types.iter().map(|(kind, &count)| (type_name(kind.to_byte()), count)).collect();
    let key_lens: BTreeMap<String, u64> =
        info.key_lens.iter().map(|(len, &count)| (len.to_string(), count)).collect();
    if types != wanted.entry_types || key_lens != wanted.key_lengths {
        return fail("entry types or key lengths differ");
    }
    Ok(())
}

/// The name of a type byte in `expected.json`.
fn type_name(byte: u8) -> String {
    match byte {
        0 => "small".to_owned(),
        1 => "blob".to_owned(),
        2 => "deleted".to_owned(),
        3 => "medium".to_owned(),
        8.. => format!("inline{}", byte - 8),
        4..8 => format!("undefined{byte}"),
    }
}

/// Checks that a set finds every entry that it iterates over, and that iteration is in order.
fn check_family(dir: &Path, family: u32) -> Result<(), CheckError> {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let set = SstSet::open_family(dir, family, &options).map_err(failed)?;
    let mut previous = None;
    for entry in set.iter() {
        let entry = entry.map_err(failed)?;
        if previous.as_ref().is_some_and(|previous| *previous >= (entry.hash, entry.key.to_vec())) {
            return fail("iteration is out of order");
        }
        let found = set.lookup(entry.hash, &entry.key).map_err(failed)?;
        if found != entry.value.clone().into() {
            return fail(format!("lookup of {:?} gives {found:?}", entry.key));
        }
        previous = Some((entry.hash, entry.key.to_vec()));
    }
    if previous.is_none() { fail("family is empty") } else { Ok(()) }
}

fn check_verify(dir: &Path) -> Result<(), CheckError> {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let report =
        verify_directory(dir, &options, &sst_reader::Monitor::default()).map_err(failed)?;
    report.damage.into_iter().next().map_or(Ok(()), |damage| Err(failed(damage)))
}
