//! Directories of the file system as sources: a name of a file may be that of a pipe or a folder.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sst_object_store::StoreError;

use crate::support::{Scratch, commit, memory, push};

/// One file of each kind: `CURRENT`, a meta file and a table.
fn one_of_each_kind(db: &Path) -> Vec<PathBuf> {
    let with = |ending: &str| {
        let mut paths = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|extension| extension == ending)).unwrap()
    };
    vec![db.join("CURRENT"), with("meta"), with("sst")]
}

#[tokio::test]
async fn no_pipe_device_or_folder_is_opened() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    for path in one_of_each_kind(&db) {
        let kept = fs::read(&path).unwrap();
        let plants: [fn(&Path); 3] = [
            |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            |path| symlink("/dev/zero", path).unwrap(),
            |path| fs::create_dir(path).unwrap(),
        ];
        for plant in plants {
            fs::remove_file(&path).unwrap();
            plant(&path);
            let error = push(&db, &memory()).await.unwrap_err();
            assert!(matches!(error, StoreError::NotAFile { .. }), "{}: {error:?}", path.display());
            if fs::remove_file(&path).is_err() {
                fs::remove_dir(&path).unwrap();
            }
            fs::write(&path, &kept).unwrap();
        }
    }
    push(&db, &memory()).await.unwrap();
}

#[tokio::test]
async fn a_long_file_is_not_read() {
    // More bytes than most machines have memory; the file takes no room on the disk.
    const LEN: u64 = 1 << 42;
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    for path in one_of_each_kind(&db) {
        let kept = fs::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(LEN).unwrap();
        let error = push(&db, &memory()).await.unwrap_err();
        assert!(error.is_corruption(), "{}: {error:?}", path.display());
        fs::write(&path, kept).unwrap();
    }
}

#[tokio::test]
async fn a_short_file_is_damage_and_no_request_is_repeated() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    for path in one_of_each_kind(&db).into_iter().skip(1) {
        let kept = fs::read(&path).unwrap();
        for len in [0, 1, kept.len() / 2] {
            fs::write(&path, &kept[..len]).unwrap();
            let error = push(&db, &memory()).await.unwrap_err();
            assert!(error.is_corruption(), "{} of {len} bytes: {error:?}", path.display());
        }
        fs::write(&path, kept).unwrap();
    }
}
