//! Parts that tests of directories share: small commits, and the state that they leave on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::live::{MetaTables, live_tables};
use sst_format::meta_file::{MetaFile, TableRecord};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_writer::publish::{Commit, FinishedTable, LOCK_FILE_NAME};
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

pub(crate) fn open(directory: &Path) -> Publisher {
    Publisher::open(directory, PublisherOptions::default()).unwrap()
}

/// The names of the files in a directory, except the lock.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != LOCK_FILE_NAME)
        .collect();
    names.sort();
    names
}

/// Writes a table with one entry.
pub(crate) fn table(commit: &Commit<'_>, value: EntryValue<'_>) -> FinishedTable {
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", value)).unwrap();
    table.finish().unwrap()
}

/// Publishes a commit of `tables` tables. With `replace` they replace all earlier ones.
pub(crate) fn commit(
    publisher: &mut Publisher,
    tables: usize,
    replace: bool,
) -> Vec<SequenceNumber> {
    let mut commit = publisher.begin();
    if replace {
        commit.replace_all();
    }
    let mut sequences = Vec::new();
    for _ in 0..tables {
        let table = table(&commit, EntryValue::Inline(b"value"));
        sequences.push(table.sequence());
        commit.add_table(table).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    sequences
}

pub(crate) fn live(publisher: &Publisher) -> Vec<SequenceNumber> {
    publisher.live_tables().map(|(_, table)| table.sequence).collect()
}

/// The state of a directory as a reader finds it: only through `CURRENT` and the list of live meta
/// files.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) metas: Vec<u32>,
    pub(crate) obsolete_in_newest: Vec<u32>,
    /// Live tables with their family, oldest first.
    pub(crate) tables: Vec<(u32, TableRecord)>,
    pub(crate) blobs: Vec<BlobRecord>,
}

/// The numbers in a meta file.
fn meta_tables(sequence: SequenceNumber, bytes: &[u8]) -> MetaTables {
    let meta = MetaFile::parse(bytes, crc32fast::hash).unwrap();
    let described = meta.tables().map(|table| table.sequence).collect();
    MetaTables { sequence, obsolete: meta.obsolete().collect(), described }
}

/// The tables that the original's readers find live, by the rules of FORMAT.md section 1: they know
/// no list of meta files, and read every one that no `.del` file names. Also returns the meta files
/// that `.del` files name, which the original's writer removes.
pub(crate) fn find_as_original(directory: &Path) -> (Vec<SequenceNumber>, BTreeSet<u32>) {
    let current = fs::read(directory.join("CURRENT")).unwrap();
    let current = Current::parse(&current, crc32fast::hash).unwrap().sequence;
    let names = names(directory);
    let files = names.iter().filter_map(|name| FileName::parse(name));
    let files: Vec<_> = files.filter(|file| file.sequence <= current).collect();
    let read = |file: &FileName| fs::read(directory.join(file.to_string())).unwrap();
    let mut deleted = BTreeSet::new();
    for file in files.iter().filter(|file| file.kind == FileKind::Del) {
        deleted.extend(DelFile::parse(&read(file)).unwrap().sequences().map(|named| named.0));
    }
    let metas = files.iter().filter(|file| file.kind == FileKind::Meta);
    let metas = metas.filter(|file| !deleted.contains(&file.sequence.0));
    let metas: Vec<_> = metas.map(|file| meta_tables(file.sequence, &read(file))).collect();
    (live_tables(&metas).iter().map(|live| live.sequence).collect(), deleted)
}

pub(crate) fn find(directory: &Path) -> Found {
    let read = |sequence| {
        let name = FileName { sequence, kind: FileKind::Meta };
        fs::read(directory.join(name.to_string())).unwrap()
    };
    let current = fs::read(directory.join("CURRENT")).unwrap();
    let current = Current::parse(&current, crc32fast::hash).unwrap();
    assert!(current.is_protected);
    let newest = read(current.sequence);
    let newest = MetaFile::parse(&newest, crc32fast::hash).unwrap();
    let listed: Vec<LiveMeta> = newest.protection().unwrap().live_metas().collect();
    assert!(listed.is_sorted_by_key(|meta| meta.sequence));
    assert_eq!(listed.last().unwrap(), &LiveMeta { sequence: current.sequence, checksum: 0 });
    let obsolete: BTreeSet<_> = newest.obsolete().collect();
    let mut found = Found {
        metas: Vec::new(),
        obsolete_in_newest: obsolete.iter().map(|sequence| sequence.0).collect(),
        tables: Vec::new(),
        blobs: Vec::new(),
    };
    let files: Vec<_> = listed.iter().map(|meta| (*meta, read(meta.sequence))).collect();
    let metas: Vec<_> =
        files.iter().map(|(meta, bytes)| meta_tables(meta.sequence, bytes)).collect();
    let all_live = live_tables(&metas);
    let all_live: BTreeSet<_> = all_live.iter().map(|it| (it.meta.sequence, it.index)).collect();
    for (meta, bytes) in files {
        let file = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
        let protection = file.protection().unwrap();
        assert!(meta.checksum == protection.checksum() || meta.sequence == current.sequence);
        found.metas.push(meta.sequence.0);
        found.blobs.extend(protection.blobs());
        let tables = file.tables().enumerate();
        let live = tables.filter(|(index, _)| all_live.contains(&(meta.sequence, *index)));
        let live: Vec<_> = live.map(|(_, table)| (file.family(), table)).collect();
        // Only the newest meta file may have no live table.
        assert!(!live.is_empty() || meta.sequence == current.sequence);
        found.tables.extend(live);
    }
    for (_, table) in &found.tables {
        let name = FileName { sequence: table.sequence, kind: FileKind::Sst }.to_string();
        assert_eq!(fs::metadata(directory.join(name)).unwrap().len(), table.file_size);
    }
    for blob in &found.blobs {
        let sequence = SequenceNumber(blob.number.0);
        let name = FileName { sequence, kind: FileKind::Blob }.to_string();
        let bytes = fs::read(directory.join(name)).unwrap();
        assert_eq!(bytes.len() as u64, blob.file_size);
        assert!(blob.header.matches(&bytes, 0));
        assert_eq!(crc32fast::hash(&bytes[8..]), blob.header.checksum);
    }
    found
}
