//! The newest set of a directory, for many threads.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{LiveEntries, SstSet};
use crate::{ReadError, ReaderOptions, Slice};

/// How often a lookup that met an outdated set is tried again in a refreshed one.
const MAX_RETRIES: u32 = 10;

/// Holds the set of a directory's newest commit, as of the last refresh, for threads that look keys
/// up meanwhile.
///
/// A lookup takes the set there is and finishes with it: it never mixes two commits.
/// [`LiveSet::refresh`] puts the next one in its place; threads that still use the one before keep
/// it alive. Values outlive the call, without a copy.
///
/// ```no_run
/// use sst_reader::{LiveSet, ReaderOptions};
///
/// let live = LiveSet::open("unicode.db", &ReaderOptions::default())?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| live.get("1F600"));
///     scope.spawn(|| live.multi_get(&["0041", "03BB"]));
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

    /// Opens one family of the directory `dir`, as [`SstSet::open_family`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open_family(
        dir: impl AsRef<Path>,
        family: u32,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        SstSet::open_family(dir, family, options).map(Self::from)
    }

    /// The family that the set shows.
    #[must_use]
    pub fn family(&self) -> u32 {
        self.set.load().family()
    }

    /// The families of the directory as of the last refresh, ascending.
    #[must_use]
    pub fn families(&self) -> BTreeSet<u32> {
        self.set.load().catalog().families()
    }

    /// The set of the last refresh: for several lookups that must see the same commit. O(1), no
    /// lock.
    #[must_use]
    pub fn snapshot(&self) -> Arc<SstSet> {
        self.set.load_full()
    }

    /// Switches to the newest commit. Returns whether it is a newer one. Lookups go on meanwhile.
    ///
    /// # Errors
    ///
    /// As [`SstSet::refresh`]; the set stays what it was.
    pub fn refresh(&self) -> Result<bool, ReadError> {
        self.refresh_with(|_| Ok(()))
    }

    /// [`LiveSet::refresh`], where `prepare` sees the set of a newer commit before it takes over.
    /// With [`SstSet::open_all`] no lookup waits for a table to be opened, or finds its file
    /// removed (on Unix, if files are mapped):
    ///
    /// ```no_run
    /// # let live = sst_reader::LiveSet::open("unicode.db", &Default::default())?;
    /// live.refresh_with(|newer| newer.open_all())?;
    /// # Ok::<(), sst_reader::ReadError>(())
    /// ```
    ///
    /// If the commit is replaced by yet another meanwhile, that one is prepared instead.
    ///
    /// # Errors
    ///
    /// As [`SstSet::refresh`], and the error of `prepare`; the set stays what it was.
    pub fn refresh_with(
        &self,
        mut prepare: impl FnMut(&SstSet) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        // The lock guards no data, so a thread that panicked leaves none behind that is wrong.
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut retries = MAX_RETRIES;
        loop {
            let Some(newer) = self.set.load().refresh()? else { return Ok(false) };
            match prepare(&newer) {
                Ok(()) => {
                    self.set.store(Arc::new(newer));
                    return Ok(true);
                }
                Err(ReadError::Outdated { .. }) if retries > 0 => retries -= 1,
                Err(error) => return Err(error),
            }
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

    /// [`SstSet::multi_get`] in the newest set, as [`LiveSet::get`]: all values are of one commit.
    ///
    /// # Errors
    ///
    /// As [`SstSet::multi_get`].
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Option<Slice<'static>>>, ReadError> {
        self.with(|set| {
            let values = set.multi_get(keys)?.into_iter();
            Ok(values.map(|value| value.map(Slice::into_owned)).collect())
        })
    }

    /// [`SstSet::get_all`] in the newest set, as [`LiveSet::get`]: all values of a key, held at the
    /// same time.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get_all`].
    pub fn get_all(&self, key: impl AsRef<[u8]>) -> Result<Vec<Slice<'static>>, ReadError> {
        let key = key.as_ref();
        self.with(|set| set.get_all(key).map(|value| value.map(Slice::into_owned)).collect())
    }

    /// [`SstSet::contains_key`] in the newest set, as [`LiveSet::get`].
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, ReadError> {
        let key = key.as_ref();
        self.with(|set| set.contains_key(key))
    }

    /// All live entries of the set there is now, as pairs of key and value. A refresh meanwhile
    /// does not change the walk.
    #[must_use]
    pub fn iter(&self) -> LiveEntries {
        LiveEntries::new(self.snapshot())
    }

    /// [`SstSet::entry_count`] of the set there is now.
    #[must_use]
    pub fn entry_count(&self) -> Option<u64> {
        self.set.load().entry_count()
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

impl IntoIterator for &LiveSet {
    type Item = Result<(Slice<'static>, Slice<'static>), ReadError>;
    type IntoIter = LiveEntries;

    fn into_iter(self) -> LiveEntries {
        self.iter()
    }
}

impl From<SstSet> for LiveSet {
    fn from(set: SstSet) -> Self {
        Self { set: ArcSwap::from_pointee(set), refreshing: Mutex::new(()) }
    }
}
