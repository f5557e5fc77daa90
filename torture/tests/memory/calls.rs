//! Every read call, on hostile tables.

use std::error::Error;
use std::path::Path;

use sst_format::BlobNumber;
use sst_format::value_ref::ValueRef;
use sst_merge::{Diff, Duplicates, Inputs, MergeError};
use sst_reader::{Lookup, Monitor, ReadError, SstSet, StaticSortedFile, VerifyReport};
use sst_torture::model::repeating_table::{BLOCK_LEN, ENTRIES, RepeatingTable, blob, without_room};
use tempfile::TempDir;

/// The error of a call, or of one of its results.
pub(crate) type CallError = Box<dyn Error>;

/// A call: its name, the number of bytes stored of what it reads, and the call itself.
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) stored: u64,
    pub(crate) run: Box<dyn Fn() -> Result<(), CallError> + 'a>,
}

/// The tables and directories that are read.
pub(crate) struct Subjects {
    one: RepeatingTable,
    many: RepeatingTable,
    of_blob_len: u64,
    tables: [StaticSortedFile; 2],
    dirs: [TempDir; 3],
    sets: [SstSet; 3],
    keys: Vec<[u8; 4]>,
}

/// Runs through results, and drops each.
fn drop_each<T, E>(mut results: impl Iterator<Item = Result<T, E>>) -> Result<(), CallError>
where
    E: Into<CallError>,
{
    results.try_for_each(|result| result.map(drop).map_err(Into::into))
}

/// Runs through results, and keeps all of them.
fn keep_all<T, E>(results: impl Iterator<Item = Result<T, E>>) -> Result<(), CallError>
where
    E: Into<CallError>,
{
    let mut kept = Vec::new();
    for result in results {
        kept.try_reserve(1)?;
        kept.push(result.map_err(Into::into)?);
    }
    assert_eq!(kept.len(), ENTRIES as usize);
    Ok(())
}

/// The inputs of a merge.
fn inputs(dir: &Path) -> Result<Inputs, MergeError> {
    let mut inputs = Inputs::new(&without_room());
    inputs.add_directory(dir, 0)?;
    Ok(inputs)
}

/// Walks the merged entries of a directory, and reads each value.
fn walk_merged(dir: &Path) -> Result<(), CallError> {
    let inputs = inputs(dir)?;
    let mut merged = inputs.live(0..=u64::MAX, Duplicates::Keep)?;
    while let Some(entry) = merged.next()? {
        drop(std::hint::black_box(entry.into_value()?));
    }
    Ok(())
}

/// Compares a directory with itself.
fn compare(dir: &Path) -> Result<(), CallError> {
    let (old, new) = (inputs(dir)?, inputs(dir)?);
    let monitor = Monitor::default();
    let mut diff = Diff::new(&old, &new, 0..=u64::MAX, Duplicates::Newest, &monitor)?;
    assert!(diff.next()?.is_none());
    Ok(())
}

impl Subjects {
    pub(crate) fn new() -> Self {
        let [one, many] = [true, false].map(|has_one_key| RepeatingTable::in_turn(2, has_one_key));
        let blobs = [blob(BLOCK_LEN)];
        let of_blob = RepeatingTable::new(1, true, |_| ValueRef::Blob(BlobNumber(10)));
        let dirs = [one.publish(&[]), many.publish(&[]), of_blob.publish(&blobs)];
        let options = without_room();
        Self {
            of_blob_len: (of_blob.bytes.len() + blobs[0].len()) as u64,
            tables: [one.open(&options), many.open(&options)],
            sets: [0, 1, 2].map(|at| SstSet::open(dirs[at].path(), &options).unwrap()),
            one,
            many,
            dirs,
            keys: (0..ENTRIES).map(u32::to_be_bytes).collect(),
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call<'_>> {
        let mut calls = self.calls_of_tables();
        calls.extend(self.calls_of_sets());
        calls.extend(self.calls_of_directories());
        calls
    }

    fn calls_of_tables(&self) -> Vec<Call<'_>> {
        let (one, many) = (self.one.bytes.len() as u64, self.many.bytes.len() as u64);
        let [same, other] = &self.tables;
        vec![
            call("`StaticSortedFile::open`", one, || {
                drop(StaticSortedFile::from_bytes(
                    "hostile",
                    self.one.bytes.clone(),
                    Some(&self.one.meta),
                    &without_room(),
                )?);
                Ok(())
            }),
            call("`StaticSortedFile::get`", one, || found(same.get("same"))),
            call("`StaticSortedFile::get_all`, dropped one by one", one, || {
                drop_each(same.get_all("same")?)
            }),
            call("`StaticSortedFile::get_all`, all kept", one, || keep_all(same.get_all("same")?)),
            call("`StaticSortedFile::multi_get`", many, || {
                other.multi_get(&self.keys).into_iter().try_for_each(found)
            }),
            call("`Cursor`, `Iter`", many, || drop_each(other.iter())),
            call("`Iter`, all kept", many, || keep_all(other.iter())),
            call("`StaticSortedFile::verify`", many, || whole(other.verify(&Monitor::default())?)),
            call("`StaticSortedFile::inspect`", many, || {
                drop(other.inspect()?);
                Ok(())
            }),
        ]
    }

    fn calls_of_sets(&self) -> Vec<Call<'_>> {
        let (one, many) = (self.one.bytes.len() as u64, self.many.bytes.len() as u64);
        let [same, other, of_blob] = &self.sets;
        vec![
            call("`SstSet::open`", one, || {
                drop(SstSet::open(self.dirs[0].path(), &without_room())?);
                Ok(())
            }),
            call("`SstSet::refresh`", many, || {
                assert!(other.refresh()?.is_none());
                Ok(())
            }),
            call("`SstSet::get`", one, || {
                assert!(same.get("same")?.is_some());
                Ok(())
            }),
            call("`SstSet::get` of a blob", self.of_blob_len, || {
                assert!(of_blob.get("same")?.is_some());
                Ok(())
            }),
            call("`SstSet::get_all`, dropped one by one", one, || drop_each(same.get_all("same"))),
            call("`SstSet::get_all`, all kept", one, || keep_all(same.get_all("same"))),
            call("`SstSet::get_all` of a blob, all kept", self.of_blob_len, || {
                keep_all(of_blob.get_all("same"))
            }),
            call("`SstSet::multi_get`", many, || {
                assert!(other.multi_get(&self.keys)?.iter().all(Option::is_some));
                Ok(())
            }),
            call("`SstSet::iter`", many, || drop_each(other.iter())),
            call("`SstSet::content_digest` (a certificate)", many, || {
                other.content_digest(&Monitor::default())?;
                Ok(())
            }),
        ]
    }

    fn calls_of_directories(&self) -> Vec<Call<'_>> {
        let many = self.many.bytes.len() as u64;
        let dir = self.dirs[1].path();
        vec![
            call("`Inputs::live` (a merge)", many, move || walk_merged(dir)),
            call("`Diff` of a directory and itself", 2 * many, move || compare(dir)),
            call("`verify_directory`", many, move || {
                let monitor = Monitor::default();
                whole(sst_reader::verify_directory(dir, &without_room(), &monitor)?)
            }),
        ]
    }
}

fn call<'a>(name: &'a str, stored: u64, run: impl Fn() -> Result<(), CallError> + 'a) -> Call<'a> {
    Call { name, stored, run: Box::new(run) }
}

/// Checks that a lookup has found a value.
fn found(lookup: Result<Lookup<'_>, ReadError>) -> Result<(), CallError> {
    assert!(matches!(lookup?, Lookup::Value(_)));
    Ok(())
}

/// The first error of a verification: that memory was refused is reported beside damage.
fn whole(report: VerifyReport) -> Result<(), CallError> {
    report.damage.into_iter().next().map_or(Ok(()), |damage| Err(damage.into()))
}
