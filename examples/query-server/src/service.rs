//! The set that the server answers from.

use std::sync::Arc;
use std::{fs, path::PathBuf};

use arc_swap::ArcSwap;
use sst_amqf::QuotientFilter;
use sst_reader::{BlockCache, ReadError, ReaderOptions, SstSet};

use crate::arguments::Arguments;
use crate::metrics::Metrics;

/// Highest number of attempts to open a commit while newer commits appear.
const MAX_ATTEMPTS: u32 = 10;

/// The set of the newest commit, with everything needed to reload it.
///
/// A request takes the set once and uses only that, so that no answer mixes two commits.
pub(crate) struct Service {
    set: ArcSwap<SstSet>,
    /// The path of `CURRENT`, which a commit replaces last.
    current: PathBuf,
    cache: Arc<BlockCache>,
    pub(crate) metrics: Metrics,
}

impl Service {
    pub(crate) fn open(arguments: &Arguments) -> Result<Self, ReadError> {
        let cache = Arc::new(BlockCache::new(arguments.cache << 20));
        let options =
            ReaderOptions::default().cache(Arc::clone(&cache)).filter(QuotientFilter::default());
        let current = arguments.directory.join("CURRENT");
        let open = || SstSet::open_family(&arguments.directory, arguments.family, &options);
        let set = with_retries(&current, open)?;
        let metrics = Metrics::new();
        metrics.show(&set);
        Ok(Self { set: ArcSwap::from_pointee(set), current, cache, metrics })
    }

    /// The current set. Later commits do not change it.
    pub(crate) fn set(&self) -> Arc<SstSet> {
        self.set.load_full()
    }

    /// All metrics as text.
    pub(crate) fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        self.metrics.text(self.cache.used())
    }

    /// The number of the served commit.
    pub(crate) fn commit(&self) -> u32 {
        self.set.load().catalog().commit.0
    }

    /// Switches to the newest commit. Returns whether it differs from the served one.
    pub(crate) fn reload(&self) -> Result<bool, ReadError> {
        let set = self.set();
        let Some(newer) = with_retries(&self.current, || set.refresh())? else {
            return Ok(false);
        };
        self.metrics.show(&newer);
        self.set.store(Arc::new(newer));
        Ok(true)
    }
}

/// Opens a commit. Tries again if opening fails while a newer commit is published, since that may
/// have removed files of the first.
fn with_retries<T>(
    current: &PathBuf,
    open: impl Fn() -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let read = || fs::read(current).ok();
    let mut attempt = 1;
    loop {
        let before = read();
        match open() {
            Err(_) if attempt < MAX_ATTEMPTS && read() != before => attempt += 1,
            result => return result,
        }
    }
}
