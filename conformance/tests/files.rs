//! Files that another process changes while they are read, against the rules: they shrink, or their
//! bytes change. Positioned reads must then give a typed error, and never a wrong value. (A memory
//! map cannot do that; see the documentation of `Access::Map`.)

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_format::SstMeta;
use sst_reader::{Access, BlockCache, Lookup, ReadError, ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriterOptions};

/// A table in a file: a dozen blocks, and each value in its own block.
struct Fixture {
    _directory: tempfile::TempDir,
    path: PathBuf,
    entries: Vec<TestEntry>,
    meta: SstMeta,
}

impl Fixture {
    fn new() -> Self {
        let value = |i: u32| match i % 2 {
            0 => TestValue::Small(SplitMix::new(i.into()).half_random(1500)),
            _ => TestValue::Medium(SplitMix::new(i.into()).bytes(2000)),
        };
        let mut entries: Vec<_> =
            (0..20_u32).map(|i| TestEntry::new(i.to_be_bytes(), value(i))).collect();
        TestEntry::sort(&mut entries);
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        for entry in &entries {
            writer.add(entry).unwrap();
        }
        let finished = writer.finish().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000001.sst");
        std::fs::write(&path, &finished.output).unwrap();
        Self { _directory: directory, path, entries, meta: finished.meta }
    }

    fn open(&self, access: Access) -> StaticSortedFile {
        let options = ReaderOptions::default().access(access).cache(BlockCache::new(0));
        StaticSortedFile::open(&self.path, &self.meta, &options).unwrap()
    }

    /// Looks up all keys and returns the errors. No answer may be wrong.
    fn errors(&self, table: &StaticSortedFile) -> Vec<ReadError> {
        let mut errors = Vec::new();
        for entry in &self.entries {
            match table.get(&entry.key) {
                Ok(Lookup::Value(found)) => {
                    assert_eq!(Some(found.as_slice()), entry.value.bytes());
                }
                Ok(found) => panic!("{found:?}"),
                Err(error) => errors.push(error),
            }
        }
        errors
    }
}

#[test]
fn positioned_reads_return_the_written_entries() {
    let fixture = Fixture::new();
    let table = fixture.open(Access::Read);
    assert!(fixture.errors(&table).is_empty());
    assert!(table.verify(&sst_reader::Monitor::default()).unwrap().is_intact());
}

#[test]
#[cfg_attr(miri, ignore = "Miri cannot map files")]
fn maps_return_the_written_entries() {
    let fixture = Fixture::new();
    let table = fixture.open(Access::Map);
    assert!(fixture.errors(&table).is_empty());
    assert!(table.verify(&sst_reader::Monitor::default()).unwrap().is_intact());
}

#[test]
fn a_file_that_shrinks_under_positioned_reads_gives_an_io_error() {
    let fixture = Fixture::new();
    let table = fixture.open(Access::Read);
    let (file, mut failed) = (File::options().write(true).open(&fixture.path).unwrap(), 0);
    // Miri is slow.
    let step = if cfg!(miri) { 10_007 } else { 1001 };
    for len in (0..fixture.meta.file_size).rev().step_by(step) {
        file.set_len(len).unwrap();
        for error in fixture.errors(&table) {
            let ReadError::Io { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
            failed += 1;
        }
    }
    assert!(failed > fixture.entries.len());
}

#[test]
fn bytes_that_change_under_positioned_reads_are_noticed_although_they_were_verified_before() {
    let fixture = Fixture::new();
    let table = fixture.open(Access::Read);
    assert!(fixture.errors(&table).is_empty());
    let mut file = File::options().write(true).open(&fixture.path).unwrap();
    for at in (0..fixture.meta.file_size).step_by(500) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0x55; 2]).unwrap();
    }
    let errors = fixture.errors(&table);
    assert_eq!(errors.len(), fixture.entries.len());
    assert!(errors.iter().all(ReadError::is_corruption));
}
