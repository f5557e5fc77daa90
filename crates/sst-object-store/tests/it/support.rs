//! Shared parts of the tests: small directories, and stores in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use sst_object_store::{MirrorOptions, MirrorReport, Place, RetryPolicy, Store, StoreError};
use sst_reader::{Monitor, ReaderOptions, verify_directory};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};
use tempfile::TempDir;

/// A directory that is removed at the end of the test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Publishes a commit of two tables and a blob. Their entries depend on `seed`.
pub(crate) fn commit(directory: &Path, seed: u32, replace: bool) {
    commit_keeping(directory, seed, replace, 2);
}

/// [`commit`] in a directory that keeps some earlier generations.
pub(crate) fn commit_keeping(directory: &Path, seed: u32, replace: bool, keep: usize) {
    let options = PublisherOptions::default().keep_generations(keep);
    let mut publisher = Publisher::open(directory, options).unwrap();
    let mut commit = publisher.begin();
    if replace {
        commit.replace_all();
    }
    let blob = commit.create_blob(seed.to_be_bytes().repeat(2000)).unwrap();
    for table in 0..2u32 {
        let mut keys: Vec<_> = (0..300u32).map(|i| (seed, table, i)).collect();
        keys.sort_by_key(|key| (hash_key(&bytes_of(*key)), bytes_of(*key)));
        let mut writer = commit.create_table(WriterOptions::default()).unwrap();
        for key in keys {
            let key_bytes = bytes_of(key);
            let small = key_bytes.repeat(10);
            let value = match key.2 {
                0 => EntryValue::Blob(blob),
                1 => EntryValue::Deleted,
                _ => EntryValue::Small(&small),
            };
            writer.add((&key_bytes, value)).unwrap();
        }
        commit.add_table(writer.finish().unwrap()).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
}

fn bytes_of((seed, table, i): (u32, u32, u32)) -> Vec<u8> {
    [seed, table, i].iter().flat_map(|part| part.to_be_bytes()).collect()
}

/// A place in a store in memory, without delays between attempts.
pub(crate) fn memory() -> Store {
    store_on(Arc::new(InMemory::new()))
}

/// A place in a store, without delays between attempts.
pub(crate) fn store_on(objects: Arc<dyn ObjectStore>) -> Store {
    let retries = RetryPolicy::default().delays(Duration::ZERO, Duration::ZERO);
    Store::new(objects, "test:///", "some/fruit.db").unwrap().retries(retries)
}

/// Pieces that are so short that files have several.
pub(crate) fn options() -> MirrorOptions {
    MirrorOptions::default().piece_len(5000).parallel(3)
}

pub(crate) async fn push(directory: &Path, store: &Store) -> Result<MirrorReport, StoreError> {
    sst_object_store::push(
        directory,
        &Place::Bucket(store.clone()),
        &options(),
        &Monitor::default(),
    )
    .await
}

pub(crate) async fn pull(store: &Store, directory: &Path) -> Result<MirrorReport, StoreError> {
    sst_object_store::pull(store, directory, &options(), &Monitor::default()).await
}

/// The files of a directory that are no dot files.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    let visible = named.filter(|(name, _)| !name.starts_with('.'));
    visible.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Checks that every byte of a directory is intact.
#[track_caller]
pub(crate) fn verify(directory: &Path) {
    let report =
        verify_directory(directory, &ReaderOptions::default(), &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.damage);
    assert!(report.entries > 0);
}

/// The path of an object in a store of these tests.
/// The names of all objects of a store, relative to the root of its directory.
pub(crate) async fn names(objects: &dyn ObjectStore) -> BTreeSet<String> {
    let root = object("").to_string();
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    let names = listed.iter().map(|object| object.location.to_string());
    names.map(|name| name.trim_start_matches(&root).trim_start_matches('/').to_owned()).collect()
}

pub(crate) fn object(name: &str) -> ObjectPath {
    ObjectPath::from(format!("some/fruit.db/{name}"))
}

/// Changes the bytes of an object.
pub(crate) async fn edit(objects: &dyn ObjectStore, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = objects.get(&object(name)).await.unwrap().bytes().await.unwrap().to_vec();
    edit(&mut bytes);
    objects.put(&object(name), bytes.into()).await.unwrap();
}
