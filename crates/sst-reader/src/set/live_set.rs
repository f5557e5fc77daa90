//! The newest set of a directory, for many threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::SstSet;
use crate::{ReadError, ReaderOptions, Slice};

/// How often a lookup that met an outdated set is tried again in a refreshed one.
const MAX_RETRIES: u32 = 10;

/// Holds the set of a directory's newest commit, as of the last refresh, for threads that look keys
/// up meanwhile.
///
/// A lookup takes the set there is and finishes with it: it never mixes two commits.
/// [`LiveSet::refresh`] puts the next one in its place; threads that still use the one before keep
/// it alive.
///
/// ```no_run
/// use sst_reader::{LiveSet, ReaderOptions};
///
/// let live = LiveSet::open("unicode.db", &ReaderOptions::default())?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| live.get("1F600"));
///     // Now and then, or when the writer says so:
///     scope.spawn(|| live.refresh());
/// });
/// # Ok::<(), sst_reader::ReadError>(())
/// ```
#[derive(Debug)]
pub struct LiveSet {
    set: ArcSwap<SstSet>,
    /// Held while a newer set is made: one refresh at a time.
    refreshing: Mutex<()>,
}

impl LiveSet {
    /// Opens family 0 of the directory `dir`, as [`SstSet::open`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open(dir: impl AsRef<Path>, options: &ReaderOptions) -> Result<Self, ReadError> {
        SstSet::open(dir, options).map(Self::from)
    }

    /// The set of the last refresh: for several lookups that must see the same commit. O(1), no
    /// lock.
    #[must_use]
    pub fn snapshot(&self) -> Arc<SstSet> {
        self.set.load_full()
    }

    /// Looks whether there is a newer commit, and takes it if there is. Returns whether. Lookups go
    /// on meanwhile.
    ///
    /// # Errors
    ///
    /// As [`SstSet::refresh`]; the set stays what it was.
    pub fn refresh(&self) -> Result<bool, ReadError> {
        // The lock guards no data, so a thread that panicked leaves none behind that is wrong.
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.set.load().refresh()? {
            Some(newer) => {
                self.set.store(Arc::new(newer));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// [`SstSet::get`] in the newest set, which is refreshed if files that the lookup needs have
    /// been removed by the writer since. The value is free of the set.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice<'static>>, ReadError> {
        let key = key.as_ref();
        self.with(|set| Ok(set.get(key)?.map(Slice::into_owned)))
    }

    /// Calls `look_up` with the newest set; again with a refreshed one as long as it fails with
    /// [`ReadError::Outdated`]. It may be called several times.
    ///
    /// # Errors
    ///
    /// The error of `look_up` or of the refresh.
    pub fn with<T>(
        &self,
        mut look_up: impl FnMut(&SstSet) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        for _ in 0..MAX_RETRIES {
            match look_up(&self.set.load()) {
                Err(ReadError::Outdated { .. }) => {
                    self.refresh()?;
                }
                done => return done,
            }
        }
        look_up(&self.set.load())
    }
}

impl From<SstSet> for LiveSet {
    fn from(set: SstSet) -> Self {
        Self { set: ArcSwap::from_pointee(set), refreshing: Mutex::new(()) }
    }
}
