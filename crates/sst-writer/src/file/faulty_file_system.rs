//! A file system in which chosen operations fail, for tests.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{FileSystem, Lock, NewFile, OsFileSystem};

/// Lets some operations through and fails the next one, or all from there on.
#[derive(Clone, Debug)]
pub(crate) struct FaultyFileSystem {
    operations: Arc<AtomicU64>,
    /// Number of the operation that fails.
    failing: u64,
    /// Whether all operations after it fail too.
    for_good: bool,
}

impl FaultyFileSystem {
    pub(crate) fn new(failing: u64, for_good: bool) -> Self {
        Self { operations: Arc::default(), failing, for_good }
    }

    /// Whether the operation to fail was reached.
    pub(crate) fn has_failed(&self) -> bool {
        self.operations.load(Ordering::Relaxed) > self.failing
    }

    fn check(&self) -> io::Result<()> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        if number == self.failing || (self.for_good && number > self.failing) {
            return Err(io::Error::other("on purpose"));
        }
        Ok(())
    }
}

impl FileSystem for FaultyFileSystem {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        self.check()?;
        let inner = OsFileSystem.create_temporary(directory)?;
        Ok(Box::new(FaultyFile { inner, faults: self.clone() }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.check()?;
        OsFileSystem.sync_directory(directory)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check()?;
        OsFileSystem.read(path)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.check()?;
        OsFileSystem.create_directory(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.check()?;
        OsFileSystem.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        OsFileSystem.remove(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.check()?;
        OsFileSystem.lock(path)
    }
}

/// A file in which chosen operations fail.
#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn NewFile>,
    faults: FaultyFileSystem,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.faults.check().inspect_err(|_| {
            // A disk that is full takes some of it.
            _ = self.inner.write(&bytes[..bytes.len() / 2]);
        })?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.faults.check()?;
        self.inner.sync()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.check()?;
        self.inner.read_exact_at(bytes, offset)
    }

    fn close(&mut self) {
        self.inner.close();
    }

    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()> {
        self.faults.check()?;
        self.inner.persist_new(path)
    }

    fn replace(self: Box<Self>, path: &Path) -> io::Result<()> {
        self.faults.check()?;
        self.inner.replace(path)
    }
}

mod tests {
    use super::*;
    use crate::{
        AtomicFile, Compression, PublishError, Publisher, PublisherOptions, StreamingSstWriter,
        WriteError, WriterOptions, blob::write_blob_file_in,
    };

    /// Runs `attempt` with every operation failing in turn, until none is left to fail.
    fn for_every_failure(mut attempt: impl FnMut(FaultyFileSystem)) {
        for for_good in [false, true] {
            for failing in 0.. {
                assert!(failing < 500);
                let file_system = FaultyFileSystem::new(failing, for_good);
                attempt(file_system.clone());
                if !file_system.has_failed() {
                    assert!(failing > 0);
                    break;
                }
            }
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = OsFileSystem
            .list(directory)
            .unwrap()
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write_table(file_system: FaultyFileSystem, path: &Path) -> Result<(), WriteError> {
        let file = AtomicFile::create_in(Arc::new(file_system), path)?;
        let options = WriterOptions::default().compression(Compression::None);
        let mut writer = StreamingSstWriter::in_file(file, options);
        for hash in 0..100_u8 {
            let (key, value) = ([vec![hash], vec![0; 40]].concat(), vec![hash; 10_000]);
            writer.add(Fixed { hash, key, value })?;
        }
        writer.finish().map(drop)
    }

    struct Fixed {
        hash: u8,
        key: Vec<u8>,
        value: Vec<u8>,
    }

    impl crate::Entry for Fixed {
        fn key_hash(&self) -> u64 {
            self.hash.into()
        }

        fn key_len(&self) -> usize {
            self.key.len()
        }

        fn write_key_to(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.key);
        }

        fn value(&self) -> crate::EntryValue<'_> {
            crate::EntryValue::Medium(&self.value)
        }
    }

    #[test]
    fn defect_23_files_are_complete_or_absent_whatever_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut complete = Vec::new();
        for_every_failure(|file_system| {
            // A removal that fails too is all that can leave the file there, and then it is complete.
            let result = write_table(file_system.clone(), &path);
            assert_eq!(result.is_err(), file_system.has_failed());
            if let Err(error) = &result {
                assert!(
                    matches!(error, WriteError::Io { path: Some(named), .. } if *named == path)
                );
            }
            if path.exists() {
                let bytes = std::fs::read(&path).unwrap();
                assert!(complete.is_empty() || bytes == complete);
                assert!(bytes.len() > 1_000_000);
                complete = bytes;
                std::fs::remove_file(&path).unwrap();
            }
            assert_eq!(names(directory.path()), [""; 0]);
        });
        for_every_failure(|file_system| {
            let value = vec![1; 100_000];
            let result =
                write_blob_file_in(Arc::new(file_system.clone()), &path, &value, Compression::None);
            assert_eq!(result.is_err(), file_system.has_failed());
            if path.exists() {
                assert_eq!(std::fs::metadata(&path).unwrap().len(), 100_008);
                std::fs::remove_file(&path).unwrap();
            }
            assert_eq!(names(directory.path()), [""; 0]);
        });
    }

    /// One commit that replaces everything: a table with the number of the commit in it, and a blob.
    fn commit(publisher: &mut Publisher, number: u64) -> Result<(), PublishError> {
        let mut commit = publisher.begin();
        let blob = commit.create_blob(&[7; 1000])?;
        let mut table = commit.create_table(WriterOptions::default())?;
        table.add((number.to_be_bytes(), crate::EntryValue::Large { blob }))?;
        commit.add_table(table.finish()?)?;
        commit.replace_all();
        commit.publish().map(drop)
    }

    /// The one key of the directory: the number of its newest commit, if there is one.
    fn newest(publisher: &Publisher) -> Option<u64> {
        let hash = publisher.live_tables().next()?.1.min_hash;
        (0..10_u64).find(|number| crate::hash_key(&number.to_be_bytes()) == hash)
    }

    #[test]
    fn commits_happen_or_not_whatever_fails() {
        for before in [0, 1] {
            for_every_failure(|file_system| {
                let parent = tempfile::tempdir().unwrap();
                let directory = parent.path().join("db");
                let options = PublisherOptions::default;
                if before == 1 {
                    let mut publisher = Publisher::open(&directory, options()).unwrap();
                    commit(&mut publisher, 1).unwrap();
                }
                let result =
                    Publisher::open(&directory, options().file_system(file_system.clone()))
                        .and_then(|mut publisher| {
                            let result = commit(&mut publisher, 2);
                            if result.is_err() {
                                check_after_failure(publisher);
                            }
                            result
                        });
                assert!(result.is_err() <= file_system.has_failed());

                let publisher = Publisher::open(&directory, options()).unwrap();
                let found = newest(&publisher);
                let expected = if before == 1 { Some(1) } else { None };
                assert!(found == Some(2) || (result.is_err() && found == expected), "{found:?}");
                let expected = if found.is_some() { 5 } else { 1 };
                // CURRENT, LOCK, one table, one blob, one meta file; or nothing but the lock.
                assert_eq!(names(&directory).len(), expected, "{:?}", names(&directory));
            });
        }
    }

    /// A publisher whose commit failed goes on only if what is on disk is certain.
    fn check_after_failure(mut publisher: Publisher) {
        let before = newest(&publisher);
        match commit(&mut publisher, 3) {
            Ok(()) => {
                assert_eq!(newest(&publisher), Some(3));
                // Back to where it was, for the caller's checks.
                commit(&mut publisher, before.unwrap_or(2)).unwrap();
            }
            Err(_) => assert_eq!(newest(&publisher), before),
        }
    }

    #[test]
    fn failed_sync_poisons_the_publisher() {
        let mut poisoned = 0;
        for_every_failure(|file_system| {
            let directory = tempfile::tempdir().unwrap();
            let opened = Publisher::open(
                directory.path(),
                PublisherOptions::default().file_system(file_system),
            );
            let Ok(mut publisher) = opened else { return };
            let Err(error) = commit(&mut publisher, 1) else { return };
            let file_error = match error {
                PublishError::Write(WriteError::Io { operation, .. }) => operation,
                PublishError::File(error) => error.operation,
                error => panic!("{error}"),
            };
            use crate::FileOperation::{Sync, SyncDirectory};
            let poisons = matches!(file_error, Sync | SyncDirectory);
            let is_poisoned =
                matches!(publisher.check_usable(), Err(PublishError::Poisoned { .. }));
            assert!(is_poisoned >= poisons);
            poisoned += usize::from(is_poisoned);
            let refused = commit(&mut publisher, 1);
            assert!(!is_poisoned || matches!(refused, Err(PublishError::Poisoned { .. })));
        });
        assert!(poisoned > 8);
    }
}
