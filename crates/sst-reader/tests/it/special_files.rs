//! Pipes in the place of files, and a `CURRENT` of gigabytes: an error at once, whatever is opened.

use std::fs;
use std::path::Path;

use sst_format::FormatError;
use sst_reader::{
    Access, Corruption, Monitor, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    verify_directory,
};

use crate::support::{Commit, Directory, Table, numbered, small};

fn one_commit() -> Directory {
    let mut directory = Directory::new();
    let table = Table::new(&numbered(0..200, |i| small(&format!("value {i}"))));
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    directory
}

/// Puts a pipe in the place of a file. Nothing ever writes into it, so a reader that opens it and
/// waits does so for ever.
#[cfg(target_os = "linux")]
fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    for access in [Access::Map, Access::Read] {
        let options = ReaderOptions::default().access(access);
        for file in ["CURRENT", "00000001.sst", "00000002.meta"] {
            let directory = one_commit();
            let path = directory.path().join(file);
            assert!(path.exists(), "{file}");
            make_pipe(&path);
            let read =
                || SstSet::open(directory.path(), &options)?.iter().try_for_each(|e| e.map(drop));
            let error = read().unwrap_err();
            assert_eq!(error.file().path(), path, "{error}");
            let verified = verify_directory(directory.path(), &options, &Monitor::default());
            assert!(
                verified.is_err_and(|error| error.file().path() == path) || {
                    let report = verify_directory(directory.path(), &options, &Monitor::default());
                    report.unwrap().damage.iter().any(|error| error.file().path() == path)
                }
            );
            let alone = StaticSortedFile::open_standalone(&path, &options);
            assert!(matches!(alone, Err(ReadError::Io { .. })), "{alone:?}");
        }
    }
}

#[test]
fn a_current_of_gigabytes_is_not_read() {
    let directory = one_commit();
    let current = fs::File::create(directory.path().join("CURRENT")).unwrap();
    current.set_len(6 << 30).unwrap();
    let error = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap_err();
    let ReadError::Corrupt { cause: Corruption::Format(cause), .. } = error else {
        panic!("{error}");
    };
    assert_eq!(cause, FormatError::UnknownRevision { len: 6 << 30, looks_like_json: false });
}
