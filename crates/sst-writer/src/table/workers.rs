//! Frames blocks on other threads and gives them back in their order.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};

use crate::table::block_framer::{BlockFramer, FramedBlock};
use crate::table::staging::Staging;

/// Payloads travel in batches of at least this many bytes, so that waking a thread costs little beside the work.
const BATCH_LEN: usize = 128 << 10;
/// Batches on their way per worker: one being worked on, one waiting, so that no worker idles.
const BATCHES_PER_WORKER: usize = 2;
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

/// A worker ended before its time: it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerLost;

/// One thread, with a queue to it and one back.
#[derive(Debug)]
struct Lane {
    /// `None` when the thread is to end.
    to_do: Option<Sender<Batch>>,
    done: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
}

/// Threads that frame blocks.
///
/// Batches are dealt out in turn and collected in turn, so they come back in the order in which they were sent, whichever
/// thread is faster. Dropped, it waits for the threads to end.
#[derive(Debug)]
pub(crate) struct Workers {
    lanes: Vec<Lane>,
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
            move |batch: &mut Batch| batch.work_off(&mut framer)
        })
    }

    fn start_with<W: FnMut(&mut Batch) + Send + 'static>(
        count: usize,
        make_work: impl Fn() -> W,
    ) -> Self {
        let lanes = (0..count).map_while(|_| Lane::start(make_work()).ok()).collect();
        Self {
            lanes,
            sent: 0,
            received: 0,
            open: Batch::default(),
            finished: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Whether there is any thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Adds the next block. Returns the most bytes that it can take.
    pub(crate) fn add(&mut self, payload: &[u8], job: Job) -> Result<u64, WorkerLost> {
        if payload.len() > BATCH_LEN {
            self.open.payloads.reserve_exact(payload.len());
        }
        self.open.payloads.extend_from_slice(payload);
        self.open.jobs.push((payload.len(), job));
        if self.open.payloads.len() >= BATCH_LEN {
            self.send()?;
        }
        Ok((BLOCK_HEADER_LEN + payload.len()) as u64)
    }

    /// Whether batches must be taken before more blocks are added. `waiting_len` is the length of all that were added and not
    /// taken.
    pub(crate) fn is_crowded(&self, waiting_len: u64) -> bool {
        let waiting = self.sent - self.received + self.finished.len();
        waiting > BATCHES_PER_WORKER * self.lanes.len()
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
            self.send()?;
        }
        while self.received < self.sent {
            self.receive()?;
        }
        Ok(self.finished.iter().map(|batch| batch.out.len() as u64).sum())
    }

    fn send(&mut self) -> Result<(), WorkerLost> {
        let next = self.spare.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.open, next);
        let lane = self.lanes.get(self.sent % self.lanes.len().max(1)).ok_or(WorkerLost)?;
        let to_do = lane.to_do.as_ref().ok_or(WorkerLost)?;
        to_do.send(batch).map_err(|_| WorkerLost)?;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self) -> Result<(), WorkerLost> {
        let lane = self.lanes.get(self.received % self.lanes.len().max(1)).ok_or(WorkerLost)?;
        self.finished.push_back(lane.done.recv().map_err(|_| WorkerLost)?);
        self.received += 1;
        Ok(())
    }
}

impl Lane {
    fn start(mut work: impl FnMut(&mut Batch) + Send + 'static) -> std::io::Result<Self> {
        let (to_do, batches) = channel::<Batch>();
        let (results, done) = channel();
        let thread =
            std::thread::Builder::new().name("sst-writer".to_owned()).spawn(move || {
                for mut batch in batches {
                    work(&mut batch);
                    if results.send(batch).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { to_do: Some(to_do), done, thread: Some(thread) })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // First all queues, so that the threads end side by side.
        self.lanes.iter_mut().for_each(|lane| drop(lane.to_do.take()));
        for lane in &mut self.lanes {
            if let Some(thread) = lane.thread.take() {
                // What a panic said was said when it happened.
                _ = thread.join();
            }
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
                longest += workers.add(payload, job).unwrap();
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
                |batch: &mut Batch| assert!(!batch.payloads.contains(&b'!'), "on purpose")
            })
        };
        let mut workers = start();
        workers.add(b"fine", Job::Raw).unwrap();
        workers.settle().unwrap();
        workers.add(b"not fine!", Job::Raw).unwrap();
        assert_eq!(workers.settle(), Err(WorkerLost));
        assert!(workers.take().unwrap().is_some());
        assert!(workers.take().is_err());
        // Dropped while a worker is lost and another has work.
        let mut workers = start();
        let mut large = vec![0; BATCH_LEN];
        workers.add(&large, Job::Raw).unwrap();
        large.push(b'!');
        workers.add(&large, Job::Raw).unwrap();
        workers.add(&large[..BATCH_LEN], Job::Raw).unwrap();
    }
}
