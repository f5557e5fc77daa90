//! Counts of the outcomes of lookups in a set.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{CacheStatistics, Lookup, ReadError};

/// Groups of counters. Threads are spread over them, so that few share one.
const STRIPES: usize = 16;

/// The counts of one operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) lookups: u64,
    pub(super) values: u64,
    pub(super) tombstones: u64,
    pub(super) errors: u64,
    pub(super) filter_skips: u64,
    pub(super) tables_asked: u64,
    pub(super) tables_opened: u64,
    pub(super) tables_closed: u64,
}

impl Tally {
    const LEN: usize = 8;

    const fn fields(&self) -> [u64; Self::LEN] {
        [
            self.lookups,
            self.values,
            self.tombstones,
            self.errors,
            self.filter_skips,
            self.tables_asked,
            self.tables_opened,
            self.tables_closed,
        ]
    }

    /// Counts the outcome of a lookup.
    #[inline]
    pub(super) fn outcome(&mut self, found: &Result<Lookup<'_>, ReadError>) {
        match found {
            Ok(found) => self.found(found),
            Err(_) => {
                self.lookups += 1;
                self.errors += 1;
            }
        }
    }

    /// Counts a lookup that was answered.
    #[inline]
    pub(super) fn found(&mut self, found: &Lookup<'_>) {
        self.lookups += 1;
        match found {
            Lookup::Value(_) | Lookup::Blob(_) => self.values += 1,
            Lookup::Deleted => self.tombstones += 1,
            Lookup::NotFound => {}
        }
    }
}

/// The counters of a set and of those it was refreshed to.
pub(super) struct Counters {
    stripes: Box<[Stripe; STRIPES]>,
}

/// Two cache lines, which processors fetch together, so that counting on one does not slow the
/// others.
#[derive(Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; Tally::LEN]);

impl Counters {
    pub(super) fn new() -> Self {
        Self { stripes: Box::default() }
    }

    #[inline]
    pub(super) fn add(&self, tally: &Tally) {
        #[expect(clippy::indexing_slicing, reason = "a remainder of STRIPES is below STRIPES")]
        let Stripe(counters) = &self.stripes[stripe_of_thread() % STRIPES];
        for (counter, by) in counters.iter().zip(tally.fields()) {
            if by != 0 {
                // Counters publish nothing else, so they need no order.
                counter.fetch_add(by, Ordering::Relaxed);
            }
        }
    }

    fn sum(&self) -> [u64; Tally::LEN] {
        let mut sum = [0; Tally::LEN];
        for Stripe(counters) in self.stripes.iter() {
            for (sum, counter) in sum.iter_mut().zip(counters) {
                // Counters of this process do not get to 2^64. If they did, they would wrap in
                // `fetch_add` too.
                *sum = u64::wrapping_add(*sum, counter.load(Ordering::Relaxed));
            }
        }
        sum
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counters({:?})", self.sum())
    }
}

/// A number of this thread, by which it chooses its stripe.
#[inline]
fn stripe_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    STRIPE.with(|stripe| *stripe)
}

/// Outcomes of the lookups of a set and of the sets it was refreshed from and to. See
/// [`SstSet::statistics`](crate::SstSet::statistics).
///
/// Counters only grow. A snapshot taken while lookups go on may have counted one of them in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStatistics {
    /// Keys looked up.
    pub lookups: u64,
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that found none: neither a value nor a tombstone nor an error.
    pub misses: u64,
    /// Lookups that ended at a tombstone.
    pub tombstones: u64,
    /// Lookups that failed.
    pub errors: u64,
    /// Tables that a filter ruled out.
    pub filter_skips: u64,
    /// Tables that were asked: their range and their filter allowed the hash.
    pub tables_asked: u64,
    /// Tables asked in vain.
    pub false_positives: u64,
    /// Table files opened.
    pub tables_opened: u64,
    /// Table files closed to keep to
    /// [`ReaderOptions::max_open_files`](crate::ReaderOptions::max_open_files).
    pub tables_closed: u64,
    /// The block cache, with all else that shares it.
    pub cache: CacheStatistics,
}

impl SetStatistics {
    pub(super) fn new(counters: Option<&Counters>, cache: CacheStatistics) -> Self {
        let sum = counters.map_or([0; Tally::LEN], Counters::sum);
        let [lookups, hits, tombstones, errors, filter_skips, asked, opened, closed] = sum;
        Self {
            lookups,
            hits,
            // The counters are read one after the other while lookups go on, so sums may not fit
            // yet.
            misses: lookups.saturating_sub(hits + tombstones + errors),
            tombstones,
            errors,
            filter_skips,
            tables_asked: asked,
            // For the same reason.
            false_positives: asked.saturating_sub(hits + tombstones + errors),
            tables_opened: opened,
            tables_closed: closed,
            cache,
        }
    }

    /// Sets the counters and gauges `sst_*` of the `metrics` crate to this snapshot: for the loop
    /// that reports metrics, so that lookups pay nothing for it. `labels` tell sets of one process
    /// apart.
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self, labels: &[(&'static str, String)]) {
        let counters = [
            ("sst_lookups_total", self.lookups),
            ("sst_hits_total", self.hits),
            ("sst_misses_total", self.misses),
            ("sst_tombstones_total", self.tombstones),
            ("sst_errors_total", self.errors),
            ("sst_filter_skips_total", self.filter_skips),
            ("sst_tables_asked_total", self.tables_asked),
            ("sst_false_positives_total", self.false_positives),
            ("sst_tables_opened_total", self.tables_opened),
            ("sst_tables_closed_total", self.tables_closed),
            ("sst_blocks_loaded_total", self.cache.blocks_loaded),
            ("sst_bytes_loaded_total", self.cache.bytes_loaded),
            ("sst_bytes_uncompressed_total", self.cache.bytes_uncompressed),
        ];
        for (name, value) in counters {
            metrics::counter!(name, labels).absolute(value);
        }
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        for (name, value) in [
            ("sst_cache_used_bytes", self.cache.used),
            ("sst_cache_capacity_bytes", self.cache.capacity),
        ] {
            metrics::gauge!(name, labels).set(value as f64);
        }
    }
}
