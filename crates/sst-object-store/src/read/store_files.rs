//! The objects of stores as files of the reader.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use sst_reader::{FileStore, FileStoreError, RangedFile};
use tokio::sync::Semaphore;

use super::prefetched::{Pieces, locked};
use super::stored_object::StoredObject;
use super::worker::Worker;
use crate::retry::is_throttling;
use crate::{Place, Store, StoreError};

/// Requests that prefetching makes at once.
const PARALLEL_PREFETCHES: usize = 32;

/// Lets the reader open the files of a bucket where they lie: sets, catalogs, tables, and all that
/// is built on them, such as verification, merges and comparisons.
///
/// Requests are made by two threads of its own, which start with the first one, so callers need no
/// runtime. A file is opened by one request for its last 64 KiB, which are kept. A block is read by
/// one request. Lookups of many keys, and scans, ask for blocks ahead, in parallel, and up to 64
/// MiB of them wait to be read. Failed requests are repeated:
/// [`RetryPolicy`](crate::RetryPolicy). An object that changes while it is open is an error.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use sst_object_store::{Store, StoreFiles};
/// use sst_reader::{Monitor, ReaderOptions, SstSet};
/// # use sst_writer::{Publisher, PublisherOptions, WriterOptions};
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path();
/// # let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
/// # let mut commit = publisher.begin();
/// # let mut table = commit.create_table(WriterOptions::default())?;
/// # table.add(("apple", "red"))?;
/// # commit.add_table(table.finish()?)?;
/// # commit.publish(&Monitor::default())?;
///
/// let store = Store::from_directory(directory)?;
/// let options = ReaderOptions::default().files(Arc::new(StoreFiles::new(&store)));
/// let set = SstSet::open(store.name(), &options)?;
/// assert_eq!(set.get("apple")?.as_deref(), Some(&b"red"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StoreFiles {
    shared: Arc<Shared>,
    served: Served,
}

/// The paths that are served.
#[derive(Debug)]
enum Served {
    /// Those of one directory in a store.
    Directory(Store),
    /// All URLs. The stores of directories are kept, with their connections.
    Urls(Mutex<BTreeMap<String, Store>>),
}

/// The parts that open objects share.
#[derive(Debug)]
pub(super) struct Shared {
    worker: OnceLock<Worker>,
    pub(super) pieces: Pieces,
    /// Places for requests of prefetching.
    pub(super) places: Arc<Semaphore>,
}

impl Shared {
    /// The threads, which are started if there are none yet.
    pub(super) fn worker(&self) -> Result<&Worker, StoreError> {
        match self.worker.get() {
            Some(worker) => Ok(worker),
            None => {
                let started = Worker::start()?;
                // Where two threads start it at once, the first one's stays.
                Ok(self.worker.get_or_init(|| started))
            }
        }
    }
}

impl StoreFiles {
    /// Serves the paths below the [name](Store::name) of a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self::of(Served::Directory(store.clone()))
    }

    /// Serves all URLs that [`Place::from_url`] takes for a bucket. Paths and `file://` are not
    /// served.
    #[must_use]
    pub fn of_urls() -> Self {
        Self::of(Served::Urls(Mutex::default()))
    }

    fn of(served: Served) -> Self {
        let places = Arc::new(Semaphore::new(PARALLEL_PREFETCHES));
        let shared = Shared { worker: OnceLock::new(), pieces: Pieces::default(), places };
        Self { shared: Arc::new(shared), served }
    }

    /// The store of a directory.
    fn store(&self, directory: &str) -> Result<Store, StoreError> {
        match &self.served {
            Served::Directory(store) => Ok(store.clone()),
            Served::Urls(known) => {
                if let Some(store) = locked(known).get(directory) {
                    return Ok(store.clone());
                }
                let store = Store::from_url(directory)?;
                locked(known).insert(directory.to_owned(), store.clone());
                Ok(store)
            }
        }
    }

    /// The store of a directory, and the folder there that the directory is; `None` if it is the
    /// whole store.
    fn folder(&self, directory: &str) -> Result<(Store, Option<String>), StoreError> {
        let store = self.store(directory)?;
        match &self.served {
            Served::Directory(_) => {
                let folder = below(directory, store.name()).ok_or_else(|| not_served(directory))?;
                let folder = folder.replace('\\', "/");
                Ok((store, (!folder.is_empty()).then_some(folder)))
            }
            Served::Urls(_) => Ok((store, None)),
        }
    }

    /// The store of an object, and its name there.
    fn locate(&self, path: &Path) -> Result<(Store, String), StoreError> {
        let not_served = || not_served(&path.display().to_string());
        let text = path.to_str().ok_or_else(not_served)?;
        match &self.served {
            Served::Directory(store) => {
                let name = below(text, store.name()).ok_or_else(not_served)?;
                Ok((store.clone(), name.replace('\\', "/")))
            }
            Served::Urls(_) => {
                let (directory, name) = text.rsplit_once(['/', '\\']).ok_or_else(not_served)?;
                Ok((self.store(directory)?, name.to_owned()))
            }
        }
    }
}

/// The error for a path that this store does not serve.
fn not_served(path: &str) -> StoreError {
    StoreError::BadUrl { url: path.to_owned(), source: "no object of this store".into() }
}

/// The path below a directory.
fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(directory)?;
    let separators = ['/', '\\'];
    (rest.is_empty() || rest.starts_with(separators)).then(|| rest.trim_start_matches(separators))
}

impl FileStore for StoreFiles {
    fn serves(&self, path: &Path) -> bool {
        // A path that is no text is that of a file.
        path.to_str().is_some_and(|text| match &self.served {
            Served::Directory(store) => below(text, store.name()).is_some(),
            Served::Urls(_) => Place::is_url(text) && !text.starts_with("file:"),
        })
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn RangedFile>, FileStoreError> {
        let opened = self.locate(path).and_then(|(store, name)| {
            StoredObject::open(&self.shared, store, name).map(|object| Arc::new(object) as _)
        });
        opened.map_err(failure)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, FileStoreError> {
        // A path that is no text is that of a file.
        let text = directory.to_str().ok_or(FileStoreError::Unsupported)?;
        let (store, folder) = self.folder(text.trim_end_matches(['/', '\\'])).map_err(failure)?;
        if !store.has_lists() {
            return Err(FileStoreError::Unsupported);
        }
        let listed_folder = folder.clone();
        let list = async move { store.list(listed_folder.as_deref()).await };
        let listed = self.shared.worker().and_then(|worker| worker.run(list));
        let listed = listed.map_err(failure)?;
        let start = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        // A list has the objects of folders below it, too. They are not files of this one.
        let names = listed.iter().filter_map(|object| object.name.strip_prefix(&start));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }
}

/// The error of a store, as the reader knows it.
pub(super) fn failure(error: StoreError) -> FileStoreError {
    match error {
        StoreError::Missing { .. } => FileStoreError::Missing,
        StoreError::Changed { .. } | StoreError::WrongLen { .. } => FileStoreError::Changed,
        StoreError::Request { ref source, .. } if is_throttling(source.inner()) => {
            FileStoreError::Throttled(error.into())
        }
        error => FileStoreError::Failed(error.into()),
    }
}
