//! Frames blocks on several threads and gives them back in their order.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};

use crate::table::block_framer::{BlockFramer, FramedBlock};
use crate::table::staging::Staging;

/// Payloads travel in batches of at least this many bytes, so that waking a thread, which can take a tenth of a millisecond,
/// costs little beside the work.
const BATCH_LEN: usize = 512 << 10;
/// Batches on their way per thread: one being worked on, one waiting, so that no thread idles.
const BATCHES_PER_THREAD: usize = 2;
/// No batch is added as long as more bytes than this are on their way.
const MAX_WAITING_LEN: u64 = 4 << 20;

/// What is to be done with a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// Store it compressed where that pays.
    Compress,
    /// Store it as it is.
    Raw,
    /// It is in stored form, and this is its header.
    Stored(BlockHeader),
}

/// Some consecutive blocks.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Payloads, back to back, and what is to be done with each: its length and the job.
    payloads: Vec<u8>,
    jobs: Vec<(usize, Job)>,
    /// The framed blocks, back to back, and what is known of each.
    pub(crate) out: Staging,
    pub(crate) framed: Vec<FramedBlock>,
}

impl Batch {
    /// The most bytes that its blocks can take.
    pub(crate) fn longest_len(&self) -> u64 {
        (self.payloads.len() + self.jobs.len() * BLOCK_HEADER_LEN) as u64
    }

    /// Frames all payloads.
    fn work_off(&mut self, framer: &mut BlockFramer) {
        let mut rest = self.payloads.as_slice();
        for (len, job) in self.jobs.iter().copied() {
            let Some((payload, behind)) = rest.split_at_checked(len) else { break };
            rest = behind;
            self.framed.push(framer.frame(payload, job, &mut self.out));
        }
    }

    /// Empties it for further use.
    fn clear(&mut self) {
        self.payloads.clear();
        self.payloads.shrink_to(2 * BATCH_LEN);
        self.jobs.clear();
        self.out.remove_front(self.out.len(), 2 * BATCH_LEN);
        self.framed.clear();
    }
}

/// Somebody panicked at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerLost;

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or something was done.
    changed: Condvar,
}

/// Batches by number, as they were sent.
#[derive(Debug, Default)]
struct State {
    to_do: VecDeque<(usize, Batch)>,
    done: BTreeMap<usize, Batch>,
    /// There will be no more to do.
    is_closed: bool,
    /// Somebody panicked at work.
    is_lost: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Works a batch off, and puts it where it is found.
    fn work(&self, number: usize, mut batch: Batch, work: &mut dyn FnMut(&mut Batch)) {
        // Nobody goes on with what a panic left behind.
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut batch)));
        let mut state = self.lock();
        match result {
            Ok(()) => drop(state.done.insert(number, batch)),
            Err(_) => state.is_lost = true,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// What a thread does until there will be no more to do.
    fn work_on(&self, mut work: impl FnMut(&mut Batch)) {
        let mut state = self.lock();
        loop {
            if let Some((number, batch)) = state.to_do.pop_front() {
                drop(state);
                self.work(number, batch, &mut work);
                state = self.lock();
            } else if state.is_closed {
                return;
            } else {
                state = self.wait(state);
            }
        }
    }
}

/// How a batch is worked off.
type Work = Box<dyn FnMut(&mut Batch) + Send>;

/// Threads that frame blocks; the calling one helps where it would have to wait.
///
/// Batches are collected by their numbers, so they come back in the order in which they were sent, whichever thread is faster.
/// Dropped, it waits for the threads to end.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The calling thread's share.
    own_work: Work,
    /// How many batches were sent, and how many came back.
    sent: usize,
    received: usize,
    /// The batch being filled.
    open: Batch,
    /// Batches that came back and were not taken, oldest first.
    finished: VecDeque<Batch>,
    spare: Vec<Batch>,
}

impl Workers {
    /// Starts up to `count` threads that frame blocks; fewer, or even none, if the system does not give as many.
    pub(crate) fn start(count: usize, framer: impl Fn() -> BlockFramer) -> Self {
        Self::start_with(count, || {
            let mut framer = framer();
            Box::new(move |batch: &mut Batch| batch.work_off(&mut framer))
        })
    }

    fn start_with(count: usize, make_work: impl Fn() -> Work) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |_| {
            let (shared, work) = (Arc::clone(&shared), make_work());
            let thread = std::thread::Builder::new().name("sst-writer".to_owned());
            thread.spawn(move || shared.work_on(work)).ok()
        };
        Self {
            threads: (0..count).map_while(start).collect(),
            shared,
            own_work: make_work(),
            sent: 0,
            received: 0,
            open: Batch::default(),
            finished: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Whether there is any thread beside the calling one.
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Adds the next block. Returns the most bytes that it can take.
    pub(crate) fn add(&mut self, payload: &[u8], job: Job) -> u64 {
        if payload.len() > BATCH_LEN {
            self.open.payloads.reserve_exact(payload.len());
        }
        self.open.payloads.extend_from_slice(payload);
        self.open.jobs.push((payload.len(), job));
        if self.open.payloads.len() >= BATCH_LEN {
            self.send();
        }
        (BLOCK_HEADER_LEN + payload.len()) as u64
    }

    /// Whether batches must be taken before more blocks are added. `waiting_len` is the length of all that were added and not
    /// taken.
    pub(crate) fn is_crowded(&self, waiting_len: u64) -> bool {
        let waiting = self.sent - self.received + self.finished.len();
        waiting > BATCHES_PER_THREAD * (self.threads.len() + 1)
            || (waiting > 0 && waiting_len > MAX_WAITING_LEN)
    }

    /// The oldest batch that was sent, when it is done; `None` if there is none.
    pub(crate) fn take(&mut self) -> Result<Option<Batch>, WorkerLost> {
        if self.finished.is_empty() && self.received < self.sent {
            self.receive()?;
        }
        Ok(self.finished.pop_front())
    }

    /// Takes back a batch that is written.
    pub(crate) fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        self.spare.push(batch);
    }

    /// Waits for all blocks. Returns how many bytes those take that are not taken.
    pub(crate) fn settle(&mut self) -> Result<u64, WorkerLost> {
        if !self.open.jobs.is_empty() {
            self.send();
        }
        while self.received < self.sent {
            self.receive()?;
        }
        Ok(self.finished.iter().map(|batch| batch.out.len() as u64).sum())
    }

    fn send(&mut self) {
        let next = self.spare.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.open, next);
        self.shared.lock().to_do.push_back((self.sent, batch));
        self.shared.changed.notify_one();
        self.sent += 1;
    }

    /// Gets the oldest batch on its way, and works meanwhile on what nobody has begun.
    fn receive(&mut self) -> Result<(), WorkerLost> {
        let mut state = self.shared.lock();
        loop {
            if state.is_lost {
                return Err(WorkerLost);
            }
            if let Some(batch) = state.done.remove(&self.received) {
                drop(state);
                self.finished.push_back(batch);
                self.received += 1;
                return Ok(());
            }
            state = match state.to_do.pop_front() {
                Some((number, batch)) => {
                    drop(state);
                    self.shared.work(number, batch, &mut self.own_work);
                    self.shared.lock()
                }
                None => self.shared.wait(state),
            };
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.to_do.clear();
        drop(state);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // What a panic said was said when it happened.
            _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;

    fn all(workers: &mut Workers) -> Vec<u8> {
        workers.settle().unwrap();
        let mut bytes = Vec::new();
        while let Some(batch) = workers.take().unwrap() {
            let len: usize = batch.framed.iter().map(|block| block.len).sum();
            assert_eq!(len, batch.out.len());
            bytes.extend_from_slice(batch.out.as_slice());
            workers.give_back(batch);
        }
        bytes
    }

    #[test]
    fn blocks_come_back_in_order_however_many_threads() {
        let payloads: Vec<Vec<u8>> =
            (0_u32..400).map(|i| i.to_be_bytes().repeat(1 + i as usize * 7 % 5000)).collect();
        let framed = |count| {
            let mut workers = Workers::start(count, || BlockFramer::new(Compression::Lz4));
            assert!(!workers.is_empty());
            let mut longest = 0;
            for (payload, job) in payloads.iter().zip([Job::Compress, Job::Raw].into_iter().cycle())
            {
                longest += workers.add(payload, job);
            }
            let settled = workers.settle().unwrap();
            let bytes = all(&mut workers);
            assert!(settled == bytes.len() as u64 && settled < longest);
            bytes
        };
        let expected = framed(1);
        let mut framer = BlockFramer::new(Compression::Lz4);
        let mut out = Staging::default();
        for (payload, job) in payloads.iter().zip([Job::Compress, Job::Raw].into_iter().cycle()) {
            framer.frame(payload, job, &mut out);
        }
        assert!(expected == out.as_slice());
        assert!(framed(2) == expected && framed(5) == expected);
    }

    #[test]
    fn a_worker_that_panics_is_reported_wherever_it_is_noticed() {
        let start = || {
            Workers::start_with(2, || {
                Box::new(|batch| assert!(!batch.payloads.contains(&b'!'), "on purpose"))
            })
        };
        let mut workers = start();
        workers.add(b"fine", Job::Raw);
        workers.settle().unwrap();
        workers.add(b"not fine!", Job::Raw);
        assert_eq!(workers.settle(), Err(WorkerLost));
        assert!(workers.take().unwrap().is_some());
        assert!(workers.take().is_err());
        // Dropped while a worker is lost and another has work.
        let mut workers = start();
        let mut large = vec![0; BATCH_LEN];
        workers.add(&large, Job::Raw);
        large.push(b'!');
        workers.add(&large, Job::Raw);
        workers.add(&large[..BATCH_LEN], Job::Raw);
    }
}
