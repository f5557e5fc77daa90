//! Progress and cancellation of long operations.
//!
//! Every operation of the workspace that may take long (a load, a merge, a verification, a
//! certified commit, a comparison) takes a [`Monitor`], which has two parts: a [`CancelToken`], the
//! switch that stops the operation, and optionally a function that is told how far the operation
//! is. This module has nothing to do with bytes on disk; it is in this crate because all others
//! depend on it.
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

/// Entries between two looks of a [`Meter`] at its monitor.
const ENTRIES_PER_STEP: u64 = 1 << 12;

/// A switch that cancels operations, from another thread or a signal handler. Clones share the
/// switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    switch: Arc<AtomicBool>,
}

impl CancelToken {
    /// Cancels every operation that has this token. Each stops at its next check, usually within
    /// milliseconds, with the `Cancelled` error of its crate.
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
    /// A load takes entries in.
    Read,
    /// A load sorts its entries and writes tables.
    Write,
    /// Entries of tables are counted, to find the bounds of shards.
    Count,
    /// Tables are merged.
    Merge,
    /// Two sets of tables are compared.
    Compare,
    /// Every byte of tables and blob files is checked.
    Verify,
    /// Live entries are read to compute their content digest.
    Certify,
    /// Tables and blob files that were written elsewhere are taken over.
    Adopt,
    /// A commit becomes durable and visible.
    Publish,
}

/// How far an operation is. Within a phase `entries` and `bytes` never decrease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The part of the operation that is running.
    pub phase: Phase,
    /// Entries that this phase has dealt with; 0 if it does not count entries.
    pub entries: u64,
    /// Bytes that this phase has dealt with; 0 if it does not count bytes.
    pub bytes: u64,
    /// Entries that there are in all, if that is known.
    pub total_entries: Option<u64>,
    /// Bytes that there are in all, if that is known.
    pub total_bytes: Option<u64>,
}

impl Progress {
    /// The beginning of a phase: nothing done, totals unknown.
    #[must_use]
    pub const fn new(phase: Phase) -> Self {
        Self { phase, entries: 0, bytes: 0, total_entries: None, total_bytes: None }
    }

    /// Sets the entries that have been dealt with.
    #[must_use]
    pub const fn entries(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Sets the bytes that have been dealt with.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the entries that there are in all.
    #[must_use]
    pub const fn total_entries(mut self, total_entries: Option<u64>) -> Self {
        self.total_entries = total_entries;
        self
    }

    /// Sets the bytes that there are in all.
    #[must_use]
    pub const fn total_bytes(mut self, total_bytes: Option<u64>) -> Self {
        self.total_bytes = total_bytes;
        self
    }
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// Observes and cancels a long operation. The default observes nothing and never cancels. Clones
/// share the token and the callback.
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

    /// Sets the function that is told of progress. Operations with several threads call it from all
    /// of them; each thread calls it at most once per few thousand entries or per block of a table.
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

    /// Tells the callback, if there is one.
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

    /// [`Monitor::report`], then [`Monitor::check`].
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

/// Consults a [`Monitor`] from a loop over entries: once per few thousand entries, else it only
/// compares two numbers.
#[derive(Debug)]
pub struct Meter {
    monitor: Monitor,
    progress: Progress,
    /// The monitor is consulted when so many entries have been dealt with.
    next: u64,
}

impl Meter {
    /// Starts at `progress`, whose phase and totals every report has.
    #[must_use]
    pub fn new(monitor: &Monitor, progress: Progress) -> Self {
        Self { monitor: monitor.clone(), progress, next: progress.entries }
    }

    /// Notes how many entries and bytes have been dealt with so far, in all.
    ///
    /// # Errors
    ///
    /// [`Cancelled`].
    #[inline]
    pub fn at(&mut self, entries: u64, bytes: u64) -> Result<(), Cancelled> {
        if entries < self.next {
            return Ok(());
        }
        // Counts of entries stay far below 2^64: a meter that began there would only ask more
        // often.
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
