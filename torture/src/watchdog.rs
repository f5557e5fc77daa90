//! Ends a run in which a case takes too long, and names the case.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The value of `Slot::case` while the thread runs no case.
const IDLE: usize = usize::MAX;

/// Tracks the case that each thread runs.
pub(crate) struct Watchdog {
    start: Instant,
    slots: Vec<Slot>,
}

struct Slot {
    case: AtomicUsize,
    /// The start of the case, in milliseconds since the start of the run.
    since: AtomicU64,
}

impl Watchdog {
    /// A watchdog for this many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let slot = || Slot { case: AtomicUsize::new(IDLE), since: AtomicU64::new(0) };
        let slots = std::iter::repeat_with(slot).take(threads).collect();
        Self { start: Instant::now(), slots }
    }

    fn now(&self) -> u64 {
        // The saturated value is longer than any machine runs.
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that a thread begins a case.
    pub(crate) fn begin(&self, thread: usize, case: usize) {
        let slot = &self.slots[thread];
        // Store the time first, so that a case is never seen with the start time of the case before
        // it.
        slot.since.store(self.now(), Ordering::SeqCst);
        slot.case.store(case, Ordering::SeqCst);
    }

    /// Notes that a thread runs no case.
    pub(crate) fn end(&self, thread: usize) {
        self.slots[thread].case.store(IDLE, Ordering::SeqCst);
    }

    /// A case that has run for longer than `deadline`.
    pub(crate) fn late(&self, deadline: Duration) -> Option<usize> {
        // A deadline that saturates never passes.
        let limit = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let late = |slot: &Slot| {
            let case = slot.case.load(Ordering::SeqCst);
            let since = slot.since.load(Ordering::SeqCst);
            (case != IDLE && self.now().saturating_sub(since) > limit).then_some(case)
        };
        self.slots.iter().find_map(late)
    }

    /// Watches until the sender of `done` is dropped. Calls `give_up` with a case that is late.
    pub(crate) fn watch(
        &self,
        done: &Receiver<()>,
        deadline: Duration,
        give_up: impl FnOnce(usize),
    ) {
        let pause = Duration::from_millis(250);
        while done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            if let Some(case) = self.late(deadline) {
                return give_up(case);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_case_is_late_after_its_deadline_and_not_once_it_ended() {
        let mut watchdog = Watchdog::new(2);
        watchdog.begin(1, 7);
        assert_eq!(watchdog.late(Duration::from_secs(3600)), None);
        watchdog.start -= Duration::from_secs(7200);
        assert_eq!(watchdog.late(Duration::from_secs(3600)), Some(7));
        let (_running, done) = channel();
        let mut late = None;
        watchdog.watch(&done, Duration::from_secs(3600), |case| late = Some(case));
        assert_eq!(late, Some(7));
        watchdog.end(1);
        assert_eq!(watchdog.late(Duration::from_secs(3600)), None);
    }

    #[test]
    fn watching_ends_with_the_run() {
        let (running, done) = channel();
        drop(running);
        Watchdog::new(1).watch(&done, Duration::ZERO, |_| unreachable!("nothing runs"));
    }
}
