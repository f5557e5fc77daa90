//! Progress and cancellation of long operations.
//!
//! Every operation of the workspace that may take long (a load, a merge, a verification, a
//! certified commit, a comparison) takes a [`Monitor`]. It has two parts: a [`CancelToken`], which
//! stops the operation, and optionally a callback, which receives the progress. This module has
//! nothing to do with bytes on disk; it is in this crate because all others depend on it.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use sst_format::monitor::{Monitor, Phase, Progress};
//!
//! let seen = Arc::new(AtomicU64::new(0));
//! let counter = Arc::clone(&seen);
//! let monitor = Monitor::default()
//!     .progress(move |progress| counter.store(progress.entries, Ordering::Relaxed));
//!
//! // The operation reports, and stops when `check` fails.
//! monitor.report(Progress::new(Phase::Merge).entries(17));
//! assert_eq!(seen.load(Ordering::Relaxed), 17);
//! assert!(monitor.check().is_ok());
//!
//! // Another thread, or a signal handler, cancels it.
//! monitor.token().cancel();
//! assert!(monitor.check().is_err());
//! ```

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Number of entries after which a [`Meter`] consults its monitor again.
const ENTRIES_PER_STEP: u64 = 1 << 12;

/// A switch that cancels operations, from another thread or a signal handler. Clones share the
/// switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    switch: Arc<AtomicBool>,
}

impl CancelToken {
    /// Cancels all operations that have this token.
    ///
    /// Each stops at its next check, usually within milliseconds, with the `Cancelled` error of its
    /// crate.
    pub fn cancel(&self) {
        self.switch.store(true, Ordering::Release);
    }

    /// Whether the token was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.switch.load(Ordering::Acquire)
    }

    /// Fails if the token was cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// The operation was cancelled through its [`CancelToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl core::error::Error for Cancelled {}

/// The part of an operation that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// A load reads entries.
    Read,
    /// A load sorts its entries and writes tables.
    Write,
    /// Entries of tables are counted, to choose the ranges of shards.
    Count,
    /// Tables are merged.
    Merge,
    /// Two sets of tables are compared.
    Compare,
    /// Every byte of tables and blob files is checked.
    Verify,
    /// Live entries are read to compute their content digest.
    Certify,
    /// Tables and blob files that were written elsewhere are adopted.
    Adopt,
    /// Files of a commit are copied from another place.
    Copy,
    /// A commit becomes durable and visible.
    Publish,
}

/// The progress of an operation. Within a phase, `entries` and `bytes` never decrease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The part of the operation that is running.
    pub phase: Phase,
    /// Entries processed in this phase; 0 if the phase does not count entries.
    pub entries: u64,
    /// Bytes processed in this phase; 0 if the phase does not count bytes.
    pub bytes: u64,
    /// Total number of entries, if it is known.
    pub total_entries: Option<u64>,
    /// Total number of bytes, if it is known.
    pub total_bytes: Option<u64>,
}

impl Progress {
    /// The start of a phase: nothing processed, totals unknown.
    #[must_use]
    pub const fn new(phase: Phase) -> Self {
        Self { phase, entries: 0, bytes: 0, total_entries: None, total_bytes: None }
    }

    /// Sets the number of processed entries.
    #[must_use]
    pub const fn entries(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Sets the number of processed bytes.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the total number of entries.
    #[must_use]
    pub const fn total_entries(mut self, total_entries: Option<u64>) -> Self {
        self.total_entries = total_entries;
        self
    }

    /// Sets the total number of bytes.
    #[must_use]
    pub const fn total_bytes(mut self, total_bytes: Option<u64>) -> Self {
        self.total_bytes = total_bytes;
        self
    }
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// Observes and cancels a long operation. The default does neither. Clones share the token and the
/// callback.
#[derive(Clone, Default)]
pub struct Monitor {
    token: CancelToken,
    callback: Option<Callback>,
}

impl Monitor {
    /// Sets the token that cancels the operation.
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.token = token;
        self
    }

    /// Sets the callback that receives the progress.
    ///
    /// An operation with several threads calls it from all of them. Each thread calls it at most
    /// once per few thousand entries or per block of a table.
    #[must_use]
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// The token that cancels the operation.
    #[must_use]
    pub const fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Calls the callback, if there is one.
    pub fn report(&self, progress: Progress) {
        if let Some(callback) = &self.callback {
            callback(progress);
        }
    }

    /// Fails if the operation was cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    pub fn check(&self) -> Result<(), Cancelled> {
        self.token.check()
    }

    /// [`Monitor::report`] followed by [`Monitor::check`].
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    pub fn step(&self, progress: Progress) -> Result<(), Cancelled> {
        self.report(progress);
        self.check()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("token", &self.token)
            .field("has_callback", &self.callback.is_some())
            .finish()
    }
}

/// Consults a [`Monitor`] from a loop over entries. It does so once per few thousand entries; in
/// between it only compares two numbers.
#[derive(Debug)]
pub struct Meter {
    monitor: Monitor,
    progress: Progress,
    /// Number of processed entries at which the monitor is consulted next.
    next: u64,
}

impl Meter {
    /// Starts at `progress`. Every report has its phase and its totals.
    #[must_use]
    pub fn new(monitor: &Monitor, progress: Progress) -> Self {
        Self { monitor: monitor.clone(), progress, next: progress.entries }
    }

    /// Sets the numbers of entries and bytes processed so far, and consults the monitor if it is
    /// due.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    #[inline]
    pub fn at(&mut self, entries: u64, bytes: u64) -> Result<(), Cancelled> {
        if entries < self.next {
            return Ok(());
        }
        // Counts of entries stay far below 2^64. Near it, the meter would only consult the monitor
        // more often.
        self.next = entries.saturating_add(ENTRIES_PER_STEP);
        self.monitor.step(self.progress.entries(entries).bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_meter_asks_seldom_and_stops_when_cancelled() {
        let calls = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&calls);
        let monitor = Monitor::default().progress(move |progress| {
            assert_eq!((progress.phase, progress.total_entries), (Phase::Merge, Some(10_000)));
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let start = Progress::new(Phase::Merge).total_entries(Some(10_000));
        let mut meter = Meter::new(&monitor, start);
        let results: Vec<_> = (1..=10_000).map(|entries| meter.at(entries, 0)).collect();
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        monitor.token().cancel();
        let stopped = (10_001..20_000).find(|entries| meter.at(*entries, 0).is_err());
        assert!(stopped.is_some_and(|entries| entries <= 10_001 + ENTRIES_PER_STEP));
    }

    #[test]
    fn clones_share_one_switch() {
        let token = CancelToken::default();
        let monitor = Monitor::default().cancel(token.clone());
        assert!(monitor.check().is_ok());
        token.cancel();
        assert_eq!(monitor.check(), Err(Cancelled));
        assert!(Monitor::default().check().is_ok());
    }
}
