//! Work on several processors at once, timed from the moment when all threads are running.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::store::BenchError;

/// All threads must have run without a pause for this long before their work starts.
const SETTLE_TIME: Duration = Duration::from_millis(2);
/// The shortest time that counts as a pause. It is longer than two processors need to see each
/// other's writes, and longer than a system call.
const PAUSE: Duration = Duration::from_micros(100);
/// After this time the work starts even if not all threads are running, as on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Runs each piece of work in its own thread, and on its own processor if there are enough of them
/// (Linux). Returns the results in order, and the wall-clock time from the moment when all threads
/// were running until the last one was done.
///
/// Linux leaves a new or woken thread on the processor of the thread that started or woke it. If
/// the other processors are virtual and halted, that lasts up to 16 ms. This time is not part of
/// the work, so it must not be counted.
///
/// # Errors
///
/// The first error of the work, or an error if a thread panics.
pub(crate) fn side_by_side<T: Send>(
    works: &[&(dyn Fn() -> Result<T, BenchError> + Sync)],
) -> Result<(Vec<T>, Duration), BenchError> {
    let (line, processors) = (StartLine::new(works.len(), LONGEST_WAIT), processors());
    let run = |index: usize, work: &(dyn Fn() -> Result<T, BenchError> + Sync)| {
        if (2..=processors.len()).contains(&works.len()) {
            stay_on(processors.get(index).copied());
        }
        line.wait(index);
        let start = Instant::now();
        let result = work()?;
        Ok::<_, BenchError>((result, start, Instant::now()))
    };
    let done = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = works
            .iter()
            .enumerate()
            .map(|(index, work)| scope.spawn(move || run(index, *work)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| BenchError::from("a thread panicked"))?)
            .collect::<Result<Vec<_>, _>>()
    })?;
    let start = done.iter().map(|(_, start, _)| *start).min();
    let end = done.iter().map(|(_, _, end)| *end).max();
    let wall = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
    Ok((done.into_iter().map(|(result, _, _)| result).collect(), wall))
}

/// A start line where threads wait until all of them run.
///
/// The first thread increments a counter, and the others copy it, over and over. As long as no
/// thread pauses, all are running at the same time.
struct StartLine {
    ping: AtomicU64,
    pongs: Vec<AtomicU64>,
    is_open: AtomicBool,
    timeout: Duration,
}

impl StartLine {
    /// Creates a line for `count` threads. No thread waits longer than `timeout`.
    fn new(count: usize, timeout: Duration) -> Self {
        let pongs = (1..count).map(|_| AtomicU64::new(0)).collect();
        Self { ping: AtomicU64::new(0), pongs, is_open: AtomicBool::new(false), timeout }
    }

    /// Waits as the thread with this index.
    fn wait(&self, index: usize) {
        let started = Instant::now();
        match index.checked_sub(1).and_then(|index| self.pongs.get(index)) {
            None => self.open_when_settled(started),
            Some(pong) => {
                while !self.is_open.load(Ordering::SeqCst) && started.elapsed() < self.timeout {
                    pong.store(self.ping.load(Ordering::SeqCst), Ordering::SeqCst);
                    // This yields the processor only if another thread needs it.
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Opens the line when all threads have run for [`SETTLE_TIME`] without a pause.
    fn open_when_settled(&self, started: Instant) {
        let (mut calm_since, mut last) = (started, started);
        while last - calm_since < SETTLE_TIME && last - started < self.timeout {
            let round = self.ping.fetch_add(1, Ordering::SeqCst) + 1;
            let is_seen_by_all =
                || self.pongs.iter().all(|pong| pong.load(Ordering::SeqCst) >= round);
            while !is_seen_by_all() && started.elapsed() < self.timeout {
                std::thread::yield_now();
            }
            let now = Instant::now();
            if now - last > PAUSE {
                calm_since = now;
            }
            last = now;
        }
        self.is_open.store(true, Ordering::SeqCst);
    }
}

/// Returns the processors that the first thread of this process may use. Empty where the system
/// does not tell.
#[cfg(target_os = "linux")]
fn processors() -> Vec<usize> {
    let first_thread =
        i32::try_from(std::process::id()).ok().and_then(rustix::thread::Pid::from_raw);
    processors_of(first_thread)
}

/// Returns the processors that a thread may use; `None` is the calling thread.
#[cfg(target_os = "linux")]
fn processors_of(thread: Option<rustix::thread::Pid>) -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let Ok(set) = sched_getaffinity(thread) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
}

/// Binds the calling thread, and the threads it will start, to a processor.
#[cfg(target_os = "linux")]
fn stay_on(processor: Option<usize>) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if let Some(processor) = processor.filter(|processor| *processor < CpuSet::MAX_CPU) {
        let mut set = CpuSet::new();
        set.set(processor);
        // Where that is forbidden, the scheduler chooses the processor.
        _ = sched_setaffinity(None, &set);
    }
}

#[cfg(not(target_os = "linux"))]
fn processors() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: Option<usize>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_at_the_same_time_and_comes_back_in_order() {
        // Each thread waits for the other, so the test would hang if they ran one after the other.
        let meeting = std::sync::Barrier::new(2);
        let meet = |number: i32| {
            meeting.wait();
            Ok(number)
        };
        let (numbers, wall) = side_by_side(&[&|| meet(1), &|| meet(2)]).unwrap();
        assert_eq!(numbers, [1, 2]);
        assert!(wall > Duration::ZERO);
        assert!(side_by_side::<()>(&[&|| Ok(()), &|| Err("on purpose".into())]).is_err());
    }

    #[test]
    fn no_thread_starts_before_all_are_there() {
        let line = StartLine::new(2, Duration::from_secs(3600));
        let is_second_there = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                line.wait(0);
                is_second_there.load(Ordering::SeqCst)
            });
            is_second_there.store(true, Ordering::SeqCst);
            line.wait(1);
            assert!(first.join().unwrap());
        });
        // A thread stops waiting after the limit if another thread never arrives.
        let line = StartLine::new(2, Duration::ZERO);
        line.wait(0);
        line.wait(1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_has_a_processor_of_its_own() {
        let own = || Ok(processors_of(None));
        let (mut seen, _) = side_by_side(&[&own, &own]).unwrap();
        let (second, first) = (seen.pop().unwrap(), seen.pop().unwrap());
        if let [one, other, ..] = processors()[..] {
            assert_eq!((first, second), (vec![one], vec![other]));
        } else {
            assert_eq!(first, second);
        }
    }
}
