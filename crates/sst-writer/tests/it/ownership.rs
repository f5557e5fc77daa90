//! Ownership of directories: a publisher refuses a directory that was changed by another, and
//! removes only files of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use crate::test_file_system::TestFileSystem;
use sst_format::FormatError;
use sst_writer::publish::{Commit, LOCK_FILE_NAME};
use sst_writer::{Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

fn open(directory: &Path) -> Result<Publisher, PublishError> {
    Publisher::open(directory, PublisherOptions::default())
}

fn add_table(commit: &mut Commit<'_>, value: &str) {
    try_add_table(commit, value).unwrap();
}

fn try_add_table(commit: &mut Commit<'_>, value: &str) -> Result<(), PublishError> {
    let mut table = commit.create_table(WriterOptions::default())?;
    table.add(("key", value))?;
    let table = table.finish()?;
    commit.add_table(table)
}

fn append(publisher: &mut Publisher, value: &str) -> Result<u32, PublishError> {
    let mut commit = publisher.begin();
    try_add_table(&mut commit, value)?;
    Ok(commit.publish(&Monitor::default())?.commit.0)
}

/// Every file of a directory with its content, except the lock.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.is_file() && !path.ends_with(LOCK_FILE_NAME));
    let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, bytes) in content(from) {
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// A directory with one commit, in a parent directory of its own.
fn published(value: &str) -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    append(&mut open(&path).unwrap(), value).unwrap();
    (parent, path)
}

#[test]
fn current_lost_from_a_directory_with_one_commit_is_refused() {
    let (_parent, path) = published("value");
    fs::remove_file(path.join("CURRENT")).unwrap();
    let before = content(&path);
    assert_eq!(before.len(), 2);
    assert!(matches!(open(&path).unwrap_err(), PublishError::MissingCurrent { .. }));
    assert_eq!(content(&path), before);
    // A directory that only has tables is not accepted either.
    fs::remove_file(path.join("00000002.meta")).unwrap();
    assert!(matches!(open(&path).unwrap_err(), PublishError::MissingCurrent { .. }));
    assert!(path.join("00000001.sst").exists());
}

#[test]
fn first_commit_that_did_not_happen_is_removed() {
    let parent = tempfile::tempdir().unwrap();
    let (path, crashed) = (parent.path().join("db"), parent.path().join("crashed"));
    let mut publisher = open(&path).unwrap();
    let mut commit = publisher.begin();
    add_table(&mut commit, "value");
    commit.create_blob(b"blob").unwrap();
    // The files that a crash would leave now.
    copy(&path, &crashed);
    drop(commit);
    assert_eq!(content(&path), []);
    assert_eq!(content(&crashed).len(), 3);
    let mut publisher = open(&crashed).unwrap();
    assert_eq!(content(&crashed), []);
    // The sequence numbers are used again.
    assert_eq!(append(&mut publisher, "value").unwrap(), 2);
    assert_eq!(content(&crashed).len(), 3);
}

#[cfg(unix)]
#[test]
fn a_directory_that_was_swapped_by_a_symlink_is_refused() {
    let (parent, old) = published("old");
    let new = parent.path().join("new");
    append(&mut open(&new).unwrap(), "new").unwrap();
    let link = parent.path().join("link");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    let mut publisher = open(&link).unwrap();
    let mut commit = publisher.begin();
    add_table(&mut commit, "later");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&new, &link).unwrap();
    let before = content(&new);
    assert!(matches!(
        commit.publish(&Monitor::default()).unwrap_err(),
        PublishError::LockLost { .. }
    ));
    assert_eq!(content(&new), before);
    assert!(append(&mut publisher, "later").is_err());
}

#[test]
fn a_directory_that_was_restored_is_refused() {
    let (_parent, path) = published("value");
    let (_other_parent, other) = published("another");
    let mut publisher = open(&path).unwrap();
    let mut commit = publisher.begin();
    add_table(&mut commit, "later");
    // A different commit with the same number.
    copy(&other, &path);
    let before = content(&path);
    assert!(matches!(
        commit.publish(&Monitor::default()).unwrap_err(),
        PublishError::Changed { .. }
    ));
    assert_eq!(content(&path), before);
    drop(publisher);
    assert_eq!(append(&mut open(&path).unwrap(), "later").unwrap(), 4);
}

#[test]
fn a_directory_that_was_rebuilt_is_refused() {
    let (_parent, path) = published("value");
    let (_other_parent, other) = published("another");
    append(&mut open(&other).unwrap(), "second").unwrap();
    let mut publisher = open(&path).unwrap();
    copy(&other, &path);
    let before = content(&path);
    let error = publisher.begin().publish(&Monitor::default()).unwrap_err();
    assert!(matches!(error, PublishError::Changed { .. }), "{error}");
    assert_eq!(content(&path), before);
    fs::remove_file(path.join("CURRENT")).unwrap();
    let error = publisher.begin().publish(&Monitor::default()).unwrap_err();
    assert!(matches!(error, PublishError::Changed { .. }), "{error}");
}

/// Only Unix can remove a locked file, and lock a directory.
#[cfg(unix)]
#[test]
fn a_second_writer_is_refused_although_the_lock_file_was_removed() {
    let (parent, path) = published("value");
    let mut first = open(&path).unwrap();
    let mut commit = first.begin();
    add_table(&mut commit, "first");
    // As long as the text is there, the error names the holder.
    match open(&path).unwrap_err() {
        PublishError::Locked { directory, holder: Some(holder) } => {
            assert_eq!((directory, holder.process), (path.clone(), std::process::id()));
        }
        error => panic!("{error}"),
    }
    fs::remove_file(path.join(LOCK_FILE_NAME)).unwrap();
    let link = parent.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let before = content(&path);
    for way in [&path, &link] {
        let error = open(way).unwrap_err();
        assert!(matches!(error, PublishError::Locked { holder: None, .. }), "{error}");
    }
    assert_eq!(content(&path), before);
    assert!(!path.join(LOCK_FILE_NAME).exists());
    // The first one refuses, too, since an older build looks at the lock file only.
    assert!(matches!(
        commit.publish(&Monitor::default()).unwrap_err(),
        PublishError::LockLost { .. }
    ));
    drop(first);
    assert_eq!(append(&mut open(&path).unwrap(), "second").unwrap(), 4);
}

/// Another directory of the same name is not the locked one, whatever lock file it has.
#[cfg(unix)]
#[test]
fn a_directory_that_was_replaced_with_its_lock_file_is_refused() {
    let (parent, path) = published("value");
    let mut publisher = open(&path).unwrap();
    let aside = parent.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    fs::create_dir(&path).unwrap();
    for file in fs::read_dir(&aside).unwrap() {
        let file = file.unwrap();
        fs::hard_link(file.path(), path.join(file.file_name())).unwrap();
    }
    let before = content(&path);
    let error = append(&mut publisher, "later").unwrap_err();
    assert!(matches!(error, PublishError::LockLost { .. }), "{error}");
    assert_eq!(content(&path), before);
    drop(publisher);
    assert_eq!(append(&mut open(&path).unwrap(), "later").unwrap(), 4);
}

/// A load waits for its input, and its directory is removed and made anew: no file of the load
/// appears in the new one, which other writers can use.
#[cfg(unix)]
#[test]
fn a_directory_that_took_the_place_of_the_locked_one_gets_no_files() {
    let (_parent, path) = published("value");
    let mut publisher = open(&path).unwrap();
    let commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", "value")).unwrap();
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let lost = |error: PublishError| {
        assert!(matches!(error, PublishError::LockLost { .. }), "{error}");
    };
    lost(table.finish().unwrap_err());
    lost(commit.create_table(WriterOptions::default()).unwrap_err());
    lost(commit.create_blob(b"blob").unwrap_err());
    drop(commit);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    append(&mut open(&path).unwrap(), "another").unwrap();
    // The publisher of the directory that is gone leaves the lock file of the new one alone.
    lost(publisher.remove_lock_file().unwrap_err());
    assert!(path.join(LOCK_FILE_NAME).exists());
}

/// A file system that cannot lock directories, as NFS: the lock file alone keeps others out.
#[cfg(unix)]
#[test]
fn a_commit_after_the_lock_was_removed_removes_nothing_of_another() {
    let (_parent, path) = published("value");
    let open = |path: &Path| {
        let file_system = TestFileSystem { has_no_directory_locks: true, ..Default::default() };
        let options = PublisherOptions::default().file_system(Arc::new(file_system));
        Publisher::open(path, options)
    };
    let mut first = open(&path).unwrap();
    assert!(matches!(open(&path).unwrap_err(), PublishError::Locked { holder: Some(_), .. }));
    let mut commit = first.begin();
    add_table(&mut commit, "first");
    fs::remove_file(path.join(LOCK_FILE_NAME)).unwrap();
    let mut second = open(&path).unwrap();
    assert_eq!(append(&mut second, "second").unwrap(), 4);
    let before = content(&path);
    assert!(matches!(
        commit.publish(&Monitor::default()).unwrap_err(),
        PublishError::LockLost { .. }
    ));
    assert_eq!(content(&path), before);
    let mut dropped = first.begin();
    let error = try_add_table(&mut dropped, "dropped").unwrap_err();
    assert!(matches!(error, PublishError::LockLost { .. }), "{error}");
    drop(dropped);
    assert!(before.iter().all(|file| content(&path).contains(file)));
}

#[test]
fn a_failed_commit_removes_only_what_it_created() {
    let (_parent, path) = published("value");
    let mut publisher = open(&path).unwrap();
    let commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", "value")).unwrap();
    let of_another = path.join(format!("{:08}.sst", table.sequence().0));
    fs::write(&of_another, "of another").unwrap();
    assert!(matches!(
        table.finish().unwrap_err(),
        PublishError::Write(sst_writer::WriteError::Exists { .. })
    ));
    drop(commit);
    assert_eq!(fs::read(&of_another).unwrap(), b"of another");
}

#[cfg(unix)]
fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn special_files_of_our_names_block_nothing() {
    let (_parent, path) = published("value");
    fs::create_dir(path.join("00000003.sst")).unwrap();
    make_pipe(&path.join("00000005.meta"));
    make_pipe(&path.join("00000000.meta"));
    std::os::unix::fs::symlink("elsewhere", path.join("00000006.blob")).unwrap();
    let options = || PublisherOptions::default().keep_generations(3);
    let mut publisher = Publisher::open(&path, options()).unwrap();
    assert_eq!(publisher.not_removed().len(), 0);
    // Numbers 3, 5 and 6 are left out.
    assert_eq!(append(&mut publisher, "later").unwrap(), 7);
    drop(publisher);
    let mut publisher = Publisher::open(&path, options()).unwrap();
    let mut commit = publisher.begin();
    commit.replace_all();
    add_table(&mut commit, "last");
    let info = commit.publish(&Monitor::default()).unwrap();
    assert_eq!((info.commit.0, info.not_removed.len()), (9, 0));
    assert!(path.join("00000003.sst").is_dir());
    assert!(path.join("00000005.meta").exists());
}

#[cfg(unix)]
#[test]
fn special_files_in_place_of_ours_are_errors() {
    let (_parent, path) = published("value");
    for name in ["CURRENT", "00000002.meta", LOCK_FILE_NAME] {
        let (file, aside) = (path.join(name), path.join("aside"));
        fs::rename(&file, &aside).unwrap();
        make_pipe(&file);
        assert!(matches!(open(&path).unwrap_err(), PublishError::File(_)), "{name}");
        fs::remove_file(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
    }
    open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_symlink_is_not_followed() {
    let (parent, path) = published("value");
    let precious = parent.path().join("precious");
    fs::write(&precious, "of another").unwrap();
    for name in [LOCK_FILE_NAME, "LOCK"] {
        let lock = path.join(name);
        if lock.exists() {
            fs::remove_file(&lock).unwrap();
        }
        std::os::unix::fs::symlink(&precious, &lock).unwrap();
        assert!(open(&path).is_err());
        assert_eq!(fs::read(&precious).unwrap(), b"of another");
        fs::remove_file(&lock).unwrap();
    }
}

#[test]
fn a_current_of_many_bytes_is_not_read_whole() {
    let (_parent, path) = published("value");
    let current = fs::File::options().write(true).open(path.join("CURRENT")).unwrap();
    current.set_len(6 << 30).unwrap();
    let expected = FormatError::UnknownRevision { len: 6 << 30, looks_like_json: false };
    match open(&path).unwrap_err() {
        PublishError::Format { source, .. } => assert_eq!(source, expected),
        error => panic!("{error}"),
    }
}

#[test]
fn the_lock_of_older_builds_is_locked_too_and_goes() {
    let (_parent, path) = published("value");
    let older = path.join("LOCK");
    let held = fs::File::create(&older).unwrap();
    held.lock().unwrap();
    assert!(matches!(open(&path).unwrap_err(), PublishError::Locked { .. }));
    assert!(older.exists());
    held.unlock().unwrap();
    let mut publisher = open(&path).unwrap();
    assert!(!older.exists());
    // An older build has opened the directory meanwhile.
    fs::write(&older, "").unwrap();
    assert!(matches!(append(&mut publisher, "x").unwrap_err(), PublishError::LockLost { .. }));
}
