//! The meta files that commits leave: their version, their kind, and how much of them is read.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sst_format::filter::{Filter, FilterBuilder, FilterBytes, FilterError, FilterPolicy};
use sst_format::meta_file::MetaFile;
use sst_writer::file::{FileSystem, Lock, NewFile, OsFileSystem, StoredFile};
use sst_writer::publish::{CommitKind, Generation};
use sst_writer::{Commit, Publisher, PublisherOptions, WriterOptions};

/// The file system, which counts the bytes of meta files that are read.
#[derive(Clone, Debug, Default)]
struct Counting {
    read: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountedFile {
    file: Box<dyn StoredFile>,
    read: Arc<AtomicU64>,
}

impl Counting {
    fn count(&self, path: &Path, len: usize) {
        if path.extension().is_some_and(|extension| extension == "meta") {
            self.read.fetch_add(len as u64, Ordering::Relaxed);
        }
    }
}

impl StoredFile for CountedFile {
    fn file_size(&self) -> io::Result<u64> {
        self.file.file_size()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.read_exact_at(bytes, offset)
    }
}

impl FileSystem for Counting {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        OsFileSystem.create_temporary(directory)
    }
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.create_directory(directory)
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.exists(path)
    }
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.is_directory(path)
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.is_file(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        OsFileSystem.canonicalize(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        OsFileSystem.list(directory)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = OsFileSystem.read(path)?;
        self.count(path, bytes.len());
        Ok(bytes)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = OsFileSystem.open(path)?;
        let is_meta = path.extension().is_some_and(|extension| extension == "meta");
        let read = if is_meta { Arc::clone(&self.read) } else { Arc::default() };
        Ok(Box::new(CountedFile { file, read }))
    }
    fn drop_cache(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.drop_cache(path)
    }
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        OsFileSystem.modified(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)
    }
    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.remove_directory(directory)
    }
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        OsFileSystem.lock(path, holder)
    }
}

/// A filter of so many bytes, whatever is in it.
#[derive(Clone, Copy, Debug)]
struct Bytes(usize);

impl FilterPolicy for Bytes {
    fn builder(&self) -> Box<dyn FilterBuilder> {
        Box::new(*self)
    }

    fn open(&self, _: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        Err(FilterError::new("not to be opened"))
    }
}

impl FilterBuilder for Bytes {
    fn add_hashes(&mut self, _: &[u64]) {}

    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError> {
        Ok(vec![7; self.0])
    }
}

fn options() -> PublisherOptions {
    PublisherOptions::default().file_system(Counting::default())
}

/// A table with one entry and a filter of so many bytes.
fn add_table(commit: &mut Commit<'_>, key: &str, filter: usize) {
    let options = WriterOptions::default().filter(Bytes(filter));
    let mut table = commit.create_table(options).unwrap();
    table.add((key, "value")).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
}

fn append(publisher: &mut Publisher, key: &str, filter: usize) {
    let mut commit = publisher.begin();
    add_table(&mut commit, key, filter);
    commit.publish().unwrap();
}

/// The kind of the commit of a meta file, by itself.
fn kind_in(directory: &Path, sequence: u32) -> CommitKind {
    let bytes = fs::read(directory.join(format!("{sequence:08}.meta"))).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    meta.protection().unwrap().head().unwrap().kind()
}

#[test]
fn commits_say_why_they_were_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut publisher = Publisher::open(path, options().keep_generations(9)).unwrap();
    append(&mut publisher, "a", 10);
    let mut load = publisher.begin();
    load.replace_all();
    add_table(&mut load, "b", 10);
    load.publish().unwrap();
    let mut merge = publisher.begin();
    merge.replace_all();
    merge.kind(CommitKind::Merge);
    add_table(&mut merge, "b", 10);
    merge.publish().unwrap();
    publisher.rollback(Some(sst_format::SequenceNumber(2))).unwrap();
    let kinds = [CommitKind::Append, CommitKind::Load, CommitKind::Merge, CommitKind::Rollback];
    assert_eq!([2, 4, 6, 7].map(|sequence| kind_in(path, sequence)), kinds);
    let listed = Generation::list(path).unwrap();
    let listed: Vec<_> = listed.iter().rev().map(|generation| generation.kind.unwrap()).collect();
    assert_eq!(listed, kinds);
}

#[test]
fn opening_reads_heads_only() {
    const FILTER: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), options()).unwrap();
    for key in ["a", "b", "c"] {
        append(&mut publisher, key, FILTER);
    }
    let before: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    drop(publisher);
    let counting = Counting::default();
    let options = PublisherOptions::default().file_system(counting.clone());
    let publisher = Publisher::open(directory.path(), options).unwrap();
    let after: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    assert_eq!(after, before);
    let read = counting.read.load(Ordering::Relaxed);
    assert!(read > 0 && read < 3 * 1000, "{read} bytes of meta files");
}
