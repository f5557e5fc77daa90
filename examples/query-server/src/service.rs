//! The set that the server answers from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sst_amqf::QuotientFilter;
use sst_reader::{BlockCache, LiveSet, ReadError, ReaderOptions, SstSet};

use crate::arguments::Arguments;
use crate::metrics::Metrics;

/// Highest number of attempts to open a commit while newer commits appear.
const MAX_ATTEMPTS: u32 = 10;

/// The set of the newest commit, with everything needed to reload it.
pub(crate) struct Service {
    live: LiveSet,
    cache: Arc<BlockCache>,
    /// When the served commit was last known to be the newest.
    checked: Mutex<Instant>,
    /// Whether the last check failed.
    is_failing: AtomicBool,
    pub(crate) metrics: Metrics,
}

impl Service {
    pub(crate) fn open(arguments: &Arguments) -> Result<Self, ReadError> {
        let cache = Arc::new(BlockCache::new(arguments.cache << 20));
        // A single value that is longer than an answer may be is not read at all.
        let options = ReaderOptions::default()
            .cache(Arc::clone(&cache))
            .filter(QuotientFilter::default())
            .max_payload_len(arguments.max_answer_bytes());
        let open = || {
            let set = SstSet::open_family(&arguments.directory, arguments.family, &options)?;
            set.open_all().map(|()| set)
        };
        let mut attempts = 1..MAX_ATTEMPTS;
        let set = loop {
            match open() {
                // The writer has replaced the commit meanwhile.
                Err(ReadError::Outdated { .. }) if attempts.next().is_some() => {}
                opened => break opened?,
            }
        };
        let metrics = Metrics::new();
        metrics.show(&set);
        Ok(Self {
            live: LiveSet::from(set),
            cache,
            checked: Mutex::new(Instant::now()),
            is_failing: AtomicBool::new(false),
            metrics,
        })
    }

    /// Calls `look_up` with the newest set, so that no answer mixes two commits. It is called again
    /// if a file that it needs was removed by a later commit.
    pub(crate) fn ask<T>(
        &self,
        look_up: impl FnMut(&SstSet) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.live.with(look_up)
    }

    /// All metrics as text.
    pub(crate) fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        self.metrics.text(self.cache.used(), self.age())
    }

    /// The number of the served commit.
    pub(crate) fn commit(&self) -> u32 {
        self.live.snapshot().catalog().commit.0
    }

    /// Time since the served commit was known to be the newest: the age that its data may have.
    pub(crate) fn age(&self) -> Duration {
        // The lock guards a number, which no panic leaves half written.
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether the last check for a newer commit succeeded.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_failing.load(Ordering::Relaxed)
    }

    /// Switches to the newest commit. Returns whether it differs from the served one. All tables of
    /// a commit are opened before it takes over, so no request finds their files removed.
    pub(crate) fn reload(&self) -> Result<bool, ReadError> {
        let reloaded = self.live.refresh_with(SstSet::open_all);
        self.is_failing.store(reloaded.is_err(), Ordering::Relaxed);
        if reloaded? {
            self.metrics.show(&self.live.snapshot());
            self.checked_now();
            return Ok(true);
        }
        self.checked_now();
        Ok(false)
    }

    fn checked_now(&self) {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}
