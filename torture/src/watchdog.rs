//! Ends a run in which a case does not end, and names the case.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// No case runs.
const IDLE: usize = usize::MAX;

/// The case that each thread runs.
pub(crate) struct Watchdog {
    start: Instant,
    slots: Vec<Slot>,
}

struct Slot {
    case: AtomicUsize,
    /// When the case began, in milliseconds since the start.
    since: AtomicU64,
}

impl Watchdog {
    /// For this many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let slot = || Slot { case: AtomicUsize::new(IDLE), since: AtomicU64::new(0) };
        let slots = std::iter::repeat_with(slot).take(threads).collect();
        Self { start: Instant::now(), slots }
    }

    fn now(&self) -> u64 {
        // Longer than any machine runs.
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that a thread begins a case.
    pub(crate) fn begin(&self, thread: usize, case: usize) {
        let slot = &self.slots[thread];
        // The time comes first: a case is never seen with the time of the one before.
        slot.since.store(self.now(), Ordering::SeqCst);
        slot.case.store(case, Ordering::SeqCst);
    }

    /// Notes that a thread has no case.
    pub(crate) fn end(&self, thread: usize) {
        self.slots[thread].case.store(IDLE, Ordering::SeqCst);
    }

    /// A case that runs for longer than `deadline`.
    pub(crate) fn late(&self, deadline: Duration) -> Option<usize> {
        // A deadline of more milliseconds than that is none.
        let limit = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let late = |slot: &Slot| {
            let case = slot.case.load(Ordering::SeqCst);
            let since = slot.since.load(Ordering::SeqCst);
            (case != IDLE && self.now().saturating_sub(since) > limit).then_some(case)
        };
        self.slots.iter().find_map(late)
    }

    /// Watches until the other end of `done` is dropped; gives a case that is late to `give_up`.
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
