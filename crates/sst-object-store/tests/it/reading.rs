//! Sets, catalogs, verification and comparisons that read a bucket where it lies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use sst_object_store::{RetryPolicy, Store, StoreFiles};
use sst_reader::{
    Access, Catalog, Corruption, FileStore, Monitor, ReadError, ReadValue, ReaderOptions, SstSet,
    StaticSortedFile, verify_directory,
};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{Scratch, commit, edit, object, push, store_on, verify};

/// The requests of one test; more would be an endless loop.
const MAX_REQUESTS: usize = 1000;

fn options(store: &Store) -> ReaderOptions {
    ReaderOptions::default().files(Arc::new(StoreFiles::new(store)))
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// All pairs of key and value.
fn entries(set: &SstSet) -> Result<Vec<Pair>, ReadError> {
    let owned = set.iter().map(|entry| {
        let entry = entry?;
        let value = match entry.value {
            ReadValue::Value(value) => value.to_vec(),
            ReadValue::Blob(number) => set.read_blob(number)?.to_vec(),
            ReadValue::Deleted => Vec::new(),
        };
        Ok((entry.key.to_vec(), value))
    });
    owned.collect()
}

/// A directory of two commits, and the same in a store.
async fn pushed(scratch: &Scratch) -> (std::path::PathBuf, Arc<InMemory>) {
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    for seed in 1..=2 {
        commit(&db, seed, false);
    }
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    (db, objects)
}

/// Runs blocking code of a test.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn a_bucket_is_read_as_the_directory_is() {
    let scratch = Scratch::new();
    let (db, objects) = pushed(&scratch).await;
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let here = SstSet::open(&db, &ReaderOptions::default()).unwrap();
    blocking(move || {
        for access in [Access::Map, Access::Read] {
            let options = options(&store).access(access);
            let set = SstSet::open(store.name(), &options).unwrap();
            let expected = entries(&here).unwrap();
            assert_eq!(expected.len(), 4 * 299);
            assert_eq!(entries(&set).unwrap(), expected);
            let keys: Vec<_> = expected.iter().map(|(key, _)| key).collect();
            // A set of its own, of which nothing was read yet.
            let set = SstSet::open(store.name(), &options).unwrap();
            let values = set.multi_get(&keys).unwrap();
            for ((key, value), found) in expected.iter().zip(values) {
                assert_eq!(found.as_deref(), Some(&value[..]));
                assert_eq!(set.get(key).unwrap().as_deref(), Some(&value[..]));
            }
            assert!(set.get("absent").unwrap().is_none());
            assert!(set.refresh().unwrap().is_none());
            let report = verify_directory(store.name(), &options, &Monitor::default()).unwrap();
            assert!(report.is_intact() && report.entries == 4 * 300, "{report:?}");
            let catalog = Catalog::read_with(store.name(), &options).unwrap();
            let table = catalog.tables[0].path(&catalog.dir);
            let (_, described) = Catalog::around_table(&table, &options).unwrap().unwrap();
            let described = described.meta().unwrap();
            // Without its directory, and through a catalog whose options name no store.
            for file in [
                StaticSortedFile::open(&table, &described, &options).unwrap(),
                StaticSortedFile::open_standalone(&table, &options).unwrap(),
                catalog.open_table(&catalog.tables[0], &ReaderOptions::default()).unwrap(),
            ] {
                assert!(file.verify(&Monitor::default()).unwrap().is_intact());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_set_of_a_bucket_goes_on_to_the_next_commit() {
    let scratch = Scratch::new();
    let (db, objects) = pushed(&scratch).await;
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let (name, options) = (store.name().to_owned(), options(&store));
    let of = (name.clone(), options.clone());
    let set = blocking(move || SstSet::open(of.0, &of.1).unwrap()).await;
    commit(&db, 3, true);
    push(&db, &store).await.unwrap();
    for file in ["00000001.sst", "00000002.sst"] {
        _ = objects.delete(&object(file)).await;
    }
    blocking(move || {
        let newer = set.refresh().unwrap().unwrap();
        assert_eq!(entries(&newer).unwrap().len(), 2 * 299);
    })
    .await;
    verify(&db);
}

/// An object that was replaced under an open table, one that is gone, and a store that refuses.
#[tokio::test]
async fn errors_of_a_store_are_told_apart() {
    let scratch = Scratch::new();
    let (_, objects) = pushed(&scratch).await;
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let (name, options) = (store.name().to_owned(), options(&store));
    let open = {
        let (name, options) = (name.clone(), options.clone());
        move || {
            // Long enough that its end is not all of it.
            let catalog = Catalog::read_with(&name, &options).unwrap();
            let blob = *catalog.blobs().unwrap().keys().next().unwrap();
            let table = catalog.open_table(&catalog.tables[0], &options).unwrap();
            (catalog, blob, table)
        }
    };
    let (catalog, blob, table) = blocking(open).await;
    let file = catalog.tables[0].path("").to_str().unwrap().to_owned();
    edit(&*objects, &file, |bytes| bytes.extend_from_slice(&[0; 100_000])).await;
    let blob_file = catalog.blob_path(blob);
    let blob_file = blob_file.file_name().unwrap().to_str().unwrap().to_owned();
    objects.delete(&object(&blob_file)).await.unwrap();
    blocking(move || {
        let missing = catalog.read_blob(blob, Access::Read).unwrap_err();
        assert!(matches!(missing, ReadError::Corrupt { cause: Corruption::Missing, .. }));
        // The table is shorter than what is kept of its end, so it goes on; a new one is another.
        assert!(table.verify(&Monitor::default()).unwrap().is_intact());
        let other = catalog.open_table(&catalog.tables[0], &options).unwrap_err();
        assert!(matches!(other, ReadError::Corrupt { cause: Corruption::FileSize { .. }, .. }));
    })
    .await;
}

/// A table of some MB, whose end is not all of it.
async fn large_table() -> (Arc<InMemory>, Store, Vec<Vec<u8>>) {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let mut publisher =
        sst_writer::Publisher::open(&db, sst_writer::PublisherOptions::default()).unwrap();
    let mut keys: Vec<_> = (0..20_000u32).map(|i| i.to_be_bytes().to_vec()).collect();
    keys.sort_by_key(|key| sst_writer::table::hash_key(key));
    let mut commit = publisher.begin();
    let mut table = commit.create_table(sst_writer::WriterOptions::default()).unwrap();
    for key in &keys {
        let noise: Vec<u8> =
            key.iter().cycle().zip(0..100u8).map(|(a, b)| a.wrapping_mul(31) ^ b).collect();
        table.add((key, sst_writer::EntryValue::Small(&noise))).unwrap();
    }
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    drop(publisher);
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    push(&db, &store).await.unwrap();
    (objects, store, keys)
}

#[tokio::test]
async fn an_object_that_changes_while_it_is_open_is_an_error() {
    let (objects, store, keys) = large_table().await;
    let (name, options) = (store.name().to_owned(), options(&store));
    let of = (name, options, keys[0].clone());
    let (set, key) = blocking(move || {
        let set = SstSet::open(of.0, &of.1).unwrap();
        set.open_all().unwrap();
        (set, of.2)
    })
    .await;
    // The same bytes under another version: in memory each write has an ETag of its own.
    edit(&*objects, "00000001.sst", |_| ()).await;
    blocking(move || {
        let changed = set.get(&key).unwrap_err();
        assert!(matches!(changed, ReadError::Changed { .. }), "{changed:?}");
    })
    .await;
}

/// A bucket answers each request after some 20 ms, however short the range is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_verified_and_inspected_by_few_requests() {
    let (objects, _, keys) = large_table().await;
    let counting = Arc::new(FaultyStore::new(objects, usize::MAX, Fault::Before));
    let store = store_on(Arc::<FaultyStore>::clone(&counting));
    blocking(move || {
        let options = options(&store);
        let catalog = Catalog::read_with(store.name(), &options).unwrap();
        let open = || catalog.open_table(&catalog.tables[0], &options).unwrap();
        let (table, before) = (open(), counting.requests());
        let report = table.verify(&Monitor::default()).unwrap();
        assert!(report.is_intact() && report.entries == keys.len() as u64, "{report:?}");
        let verified = counting.requests() - before;
        let (table, before) = (open(), counting.requests());
        let info = table.inspect().unwrap();
        assert!(info.blocks.len() > 200, "{}", info.blocks.len());
        let inspected = counting.requests() - before;
        assert!(verified < 20 && inspected < 5, "{verified} {inspected}");
    })
    .await;
}

/// Every request that fails in every way: the entries, or an error, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_store_that_fails_has_the_entries_or_an_error() {
    let (objects, store, keys) = large_table().await;
    let keys: Vec<_> = keys.into_iter().step_by(400).collect();
    let of = (store, keys.clone());
    let expected = blocking(move || {
        let set = SstSet::open(of.0.name(), &options(&of.0)).unwrap();
        let found = set.multi_get(&of.1).unwrap();
        found.into_iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>()
    })
    .await;
    // A late answer ends at the time limit, as one that is lost.
    let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Late);
    for (fault, attempts) in faults.flat_map(|fault| [(fault, 1), (fault, 3)]) {
        let mut failing = 0;
        loop {
            let faulty =
                Arc::new(FaultyStore::new(Arc::<InMemory>::clone(&objects), failing, fault));
            let retries =
                RetryPolicy::default().attempts(attempts).delays(Duration::ZERO, Duration::ZERO);
            let of_faulty: Arc<dyn ObjectStore> = Arc::<FaultyStore>::clone(&faulty);
            let store = store_on(of_faulty).retries(retries);
            let keys = keys.clone();
            let found = blocking(move || {
                let set = SstSet::open(store.name(), &options(&store))?;
                let found = set.multi_get(&keys)?;
                Ok(found.into_iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>())
            })
            .await;
            let is_throttled = matches!(found, Err(ReadError::Throttled { .. }));
            let is_changed = matches!(found, Err(ReadError::Changed { .. }));
            match found {
                Ok(found) => assert_eq!(found, expected),
                Err(error) => {
                    assert!(faulty.has_failed(), "{error:?}");
                    // Nothing is damaged, so nothing is said to be.
                    assert!(!error.is_corruption(), "{fault:?} of request {failing}: {error:?}");
                    let is_typed = match fault {
                        Fault::Before | Fault::After => is_throttled,
                        Fault::WrongVersion => is_changed,
                        Fault::HalfBody | Fault::Late | Fault::NotFound => true,
                    };
                    assert!(is_typed, "{fault:?} of request {failing}: {error:?}");
                    assert!(attempts == 1 || fault == Fault::WrongVersion, "{error:?}");
                }
            }
            if !faulty.has_failed() {
                break;
            }
            failing += 1;
            assert!(failing < MAX_REQUESTS);
        }
        assert!(failing > 10, "{failing}");
    }
}

/// The folder of claims is not the directory, and the other way round.
#[tokio::test]
async fn folders_are_listed_for_themselves() {
    let scratch = Scratch::new();
    let (_, objects) = pushed(&scratch).await;
    objects.put(&object("claims/00000064"), "claim".into()).await.unwrap();
    objects.put(&object("claims/deeper/00000128"), "claim".into()).await.unwrap();
    let store = store_on(objects);
    blocking(move || {
        let files = StoreFiles::new(&store);
        let list = |directory: String| files.list(Path::new(&directory)).unwrap();
        // The first one is left of the push.
        let claims = ["00000000", "00000064"];
        assert_eq!(list(format!("{}/claims", store.name())), claims);
        assert_eq!(list(format!("{}/claims/", store.name())), claims);
        assert!(list(format!("{}/clai", store.name())).is_empty());
        let all = list(store.name().to_owned());
        assert!(all.iter().any(|name| name == "CURRENT"));
        assert!(!all.iter().any(|name| name.contains("00000064")));
    })
    .await;
}
