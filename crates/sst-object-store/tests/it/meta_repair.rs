//! `--repair` of meta files: without them the newest commit of a target cannot be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_object_store::{
    MirrorOptions, MirrorReport, Monitor, Place, RemoteCommit, Store, StoreError, mirror,
};

use crate::support::{
    Scratch, commit, edit, files, names, object, options, pull, push, store_on, verify,
};

/// What has happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// A bit of its lists was flipped, without which it cannot be read.
    Head,
    /// A bit of its filters was flipped, which opening it does not read.
    Filter,
    Cut,
    Gone,
}

const OLDER: &str = "00000004.meta";
const NEWEST: &str = "00000008.meta";

/// The first byte of the filter of the first table.
fn filter_start(bytes: &[u8]) -> usize {
    let meta = sst_format::meta_file::MetaFile::parse(bytes, crc32fast::hash).unwrap();
    meta.described().unwrap()[0].filter.start
}

fn harmed(mut bytes: Vec<u8>, harm: Harm) -> Option<Vec<u8>> {
    match harm {
        Harm::Head => bytes[9] ^= 1,
        Harm::Filter => {
            let at = filter_start(&bytes);
            bytes[at] ^= 1;
        }
        Harm::Cut => bytes.truncate(40),
        Harm::Gone => return None,
    }
    Some(bytes)
}

/// Harms a file of a directory and of a bucket.
async fn harm_both(directory: &Path, objects: &InMemory, name: &str, harm: Harm) {
    let bytes = fs::read(directory.join(name)).unwrap();
    match harmed(bytes, harm) {
        Some(bytes) => {
            fs::write(directory.join(name), &bytes).unwrap();
            edit(objects, name, |object| *object = bytes).await;
        }
        None => {
            fs::remove_file(directory.join(name)).unwrap();
            objects.delete(&object(name)).await.unwrap();
        }
    }
}

async fn repair(
    db: &Path,
    place: &Place,
    options: MirrorOptions,
) -> Result<MirrorReport, StoreError> {
    let source = Store::from_directory(db).unwrap();
    mirror(&source, place, &options.repair(true), &Monitor::default()).await
}

/// The names of the files of the newest commit.
async fn names_of(db: &Path) -> BTreeSet<String> {
    let commit = RemoteCommit::read(&Store::from_directory(db).unwrap()).await.unwrap().unwrap();
    commit.files().iter().map(|file| file.name.to_string()).collect()
}

/// Checks that a place has all files of the newest commit of `db`, each with its bytes.
async fn check_intact(place: &Place, db: &Path, scratch: &Scratch) {
    let copy = match place {
        Place::Directory(copy) => copy.clone(),
        Place::Bucket(store) => {
            let fresh = scratch.path("fresh");
            pull(store, &fresh).await.unwrap();
            fresh
        }
    };
    verify(&copy);
    let (found, expected) = (files(&copy), files(db));
    assert!(names_of(db).await.iter().all(|name| found.contains_key(name)));
    assert!(found.iter().all(|(name, bytes)| expected[name] == *bytes));
}

#[tokio::test]
async fn a_repair_writes_damaged_meta_files_anew() {
    let harms = [Harm::Head, Harm::Filter, Harm::Cut, Harm::Gone];
    let cases = harms.into_iter().flat_map(|harm| {
        [OLDER, NEWEST].into_iter().flat_map(move |name| [(harm, name, false), (harm, name, true)])
    });
    for (harm, name, is_new) in cases {
        let scratch = Scratch::new();
        let (db, copy) = (scratch.path("db"), scratch.path("copy"));
        let objects = Arc::new(InMemory::new());
        let store = store_on(Arc::<InMemory>::clone(&objects));
        commit(&db, 1, false);
        commit(&db, 2, false);
        push(&db, &store).await.unwrap();
        pull(&store, &copy).await.unwrap();
        let before = names_of(&db).await;
        harm_both(&copy, &objects, name, harm).await;
        if is_new {
            commit(&db, 3, false);
        }
        for place in [Place::Directory(copy.clone()), Place::Bucket(store.clone())] {
            // Nothing of such a file tells whose it was.
            let is_unknown = name == NEWEST && matches!(harm, Harm::Cut | Harm::Gone);
            if is_unknown {
                let refused = repair(&db, &place, options()).await.unwrap_err();
                let is_damage =
                    refused.is_corruption() || matches!(refused, StoreError::Directory(_));
                assert!(is_damage, "{harm:?} of {name}: {refused:?}");
            }
            let report = repair(&db, &place, options().replace(is_unknown)).await;
            let report = report.unwrap_or_else(|error| panic!("{harm:?} of {name}: {error:?}"));
            let commit = names_of(&db).await;
            let (all, new) = (commit.len() as u64, commit.difference(&before).count() as u64);
            let kept = all - new - u64::from(commit.contains(name));
            assert_eq!((report.copied_files, report.kept_files), (new + 1, kept));
            assert_eq!(report.is_changed(), is_new);
            check_intact(&place, &db, &scratch).await;
            let again = repair(&db, &place, options()).await.unwrap();
            assert_eq!((again.copied_files, again.kept_files), (0, all));
        }
    }
}

/// Two meta files are damaged, the older one so that only the newer one tells whose it was.
#[tokio::test]
async fn a_repaired_meta_file_tells_of_the_next() {
    let scratch = Scratch::new();
    let (db, copy) = (scratch.path("db"), scratch.path("copy"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, false);
    commit(&db, 2, false);
    push(&db, &store).await.unwrap();
    pull(&store, &copy).await.unwrap();
    harm_both(&copy, &objects, NEWEST, Harm::Head).await;
    harm_both(&copy, &objects, OLDER, Harm::Gone).await;
    for place in [Place::Directory(copy.clone()), Place::Bucket(store.clone())] {
        let report = repair(&db, &place, options()).await.unwrap();
        assert_eq!((report.copied_files, report.kept_files), (2, 6));
        check_intact(&place, &db, &scratch).await;
    }
}

/// A target of another history keeps its meta files: intact ones in any case, and damaged ones
/// unless it may be replaced.
#[tokio::test]
async fn a_repair_leaves_other_histories_alone() {
    let scratch = Scratch::new();
    let (db, other, copy) = (scratch.path("db"), scratch.path("other"), scratch.path("copy"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    for (directory, seed) in [(&db, 1), (&db, 2), (&other, 3), (&other, 4)] {
        commit(directory, seed, false);
    }
    push(&other, &store).await.unwrap();
    pull(&store, &copy).await.unwrap();
    let places = [Place::Directory(copy.clone()), Place::Bucket(store.clone())];
    let content = async || {
        let names = names(&*objects).await;
        let mut all = Vec::new();
        for name in names.into_iter().filter(|name| !name.starts_with("claims/")) {
            let bytes = objects.get(&object(&name)).await.unwrap().bytes().await.unwrap();
            all.push((name, bytes.to_vec()));
        }
        (all, files(&copy))
    };
    let before = content().await;
    for place in &places {
        let refused = repair(&db, place, options()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { .. }), "{refused:?}");
        let refused = repair(&db, place, options().replace(true)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Taken { .. }), "{refused:?}");
    }
    assert!(content().await == before);
    harm_both(&copy, &objects, NEWEST, Harm::Head).await;
    let before = content().await;
    for place in &places {
        repair(&db, place, options()).await.unwrap_err();
    }
    assert!(content().await == before);
    for place in &places {
        repair(&db, place, options().replace(true)).await.unwrap();
        check_intact(place, &db, &scratch).await;
    }
}
