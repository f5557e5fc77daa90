//! Full chunks of records: in memory as long as the budget allows, beyond that in spill files.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::budget::{BUCKETS, Budget, SORT_LEN_PER_RECORD};
use super::bulk_error::BulkError;
use super::spill_file::{SpillFile, SpillLocation};
use crate::WriteError;
use crate::invariant::{BrokenInvariant, OrBroken};

/// The invariant of the list of buckets.
const ALL_BUCKETS: &str = "there is a bucket for each value of the first bits";
/// The invariant of the memory in use.
const COUNTED: &str = "a buffer counts as memory in use from its allocation on";

/// A spill frees at least the budget divided by this number.
const SPILL_PART: usize = 16;
/// Memory of the entry of a spilled chunk in its list, in bytes. It counts double, because the list
/// grows by doubling.
const SPILLED_LEN: usize = 2 * size_of::<SpilledChunk>();

/// Records back to back.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
}

/// A chunk in a spill file.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpilledChunk {
    /// Number of the spill file.
    pub(super) file: u32,
    pub(super) location: SpillLocation,
    pub(super) records: u32,
}

/// All chunks of one bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) resident: Vec<Chunk>,
    pub(super) spilled: Vec<SpilledChunk>,
    records: u64,
    /// Bytes of the records, in memory or not.
    len: u64,
}

impl Bucket {
    /// Memory that sorting the whole bucket takes, in bytes.
    pub(super) const fn sort_len(&self) -> u64 {
        self.len + self.records * SORT_LEN_PER_RECORD
    }

    /// Memory that sorting the bucket takes besides its chunks that are in memory, in bytes.
    pub(super) fn load_len(&self) -> u64 {
        let spilled: u64 = self.spilled.iter().map(|chunk| u64::from(chunk.location.len)).sum();
        spilled + self.records * SORT_LEN_PER_RECORD
    }

    fn add(&mut self, chunk: Chunk) {
        self.records += u64::from(chunk.records);
        self.len += chunk.bytes.len() as u64;
        self.resident.push(chunk);
    }
}

/// The chunks of all buckets, kept within the budget for records.
#[derive(Debug)]
pub(super) struct ChunkStore {
    budget: Budget,
    /// Spill files. Each handle writes to one of them.
    files: Vec<SpillFile>,
    state: Mutex<ChunkState>,
}

#[derive(Debug)]
struct ChunkState {
    buckets: Vec<Bucket>,
    /// Unused buffers of `chunk_len` bytes.
    free: Vec<Vec<u8>>,
    /// Bytes of all buffers that were handed out and not returned, of the unused buffers, and of
    /// the lists of spilled chunks.
    in_use: usize,
    /// The buckets from this number on have no chunk in memory.
    resident_end: usize,
    spilled_len: u64,
}

impl ChunkStore {
    pub(super) fn new(budget: Budget, files: Vec<SpillFile>) -> Self {
        let state = ChunkState {
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
            free: Vec::new(),
            in_use: 0,
            resident_end: 0,
            spilled_len: 0,
        };
        Self { budget, files, state: Mutex::new(state) }
    }

    pub(super) const fn budget(&self) -> Budget {
        self.budget
    }

    /// The spill file with this number.
    pub(super) fn file(&self, number: u32) -> Result<&SpillFile, BulkError> {
        Ok(self.files.get(number as usize).or_broken("records name spill files that exist")?)
    }

    /// Number of spill files.
    pub(super) fn file_count(&self) -> u32 {
        // There are at most 64 files. A lower count would only leave some of them unused.
        u32::try_from(self.files.len()).unwrap_or(u32::MAX)
    }

    /// Adds a full chunk.
    pub(super) fn add(&self, bucket: usize, chunk: Chunk) -> Result<(), BulkError> {
        let mut state = self.lock();
        state.buckets.get_mut(bucket).or_broken(ALL_BUCKETS)?.add(chunk);
        state.resident_end = state.resident_end.max(bucket + 1);
        Ok(())
    }

    /// An empty buffer for at least `len` bytes of records. `None` if open chunks take up the whole
    /// budget: the caller must then [`ChunkStore::spill`] some of them.
    pub(super) fn buffer(&self, len: usize, file: u32) -> Result<Option<Vec<u8>>, BulkError> {
        let needed = len.max(self.budget.chunk_len);
        let mut state = self.lock();
        loop {
            if needed == self.budget.chunk_len
                && let Some(buffer) = state.free.pop()
            {
                return Ok(Some(buffer));
            }
            if state.in_use + needed <= self.budget.len {
                let buffer = empty_buffer(needed)?;
                state.in_use += buffer.capacity();
                return Ok(Some(buffer));
            }
            if !state.free.is_empty() {
                // The request is longer than an unused buffer.
                state.drop_free()?;
                continue;
            }
            let victims = state.take_resident(self.budget.len / SPILL_PART)?;
            if victims.is_empty() {
                return Ok(None);
            }
            drop(state);
            self.spill(victims, file)?;
            state = self.lock();
        }
    }

    /// A buffer beyond the budget, for a handle that could not get one within it.
    pub(super) fn buffer_beyond_budget(&self, len: usize) -> Result<Vec<u8>, BulkError> {
        let needed = len.max(self.budget.chunk_len);
        let buffer = empty_buffer(needed)?;
        self.lock().in_use += buffer.capacity();
        Ok(buffer)
    }

    /// Writes chunks to a spill file, and takes their buffers back.
    pub(super) fn spill(&self, chunks: Vec<(usize, Chunk)>, file: u32) -> Result<(), BulkError> {
        let spill_file = self.file(file)?;
        let mut spilled = Vec::with_capacity(chunks.len());
        for (bucket, chunk) in chunks {
            let location = spill_file.append(&chunk.bytes)?;
            spilled.push((bucket, SpilledChunk { file, location, records: chunk.records }));
            self.give_back(chunk.bytes)?;
        }
        let mut state = self.lock();
        for (bucket, chunk) in spilled {
            state.spilled_len += u64::from(chunk.location.len);
            state.in_use += SPILLED_LEN;
            let bucket = state.buckets.get_mut(bucket).or_broken(ALL_BUCKETS)?;
            bucket.records += u64::from(chunk.records);
            bucket.len += u64::from(chunk.location.len);
            bucket.spilled.push(chunk);
        }
        Ok(())
    }

    /// Writes a value that is stored apart from its record.
    pub(super) fn append(&self, value: &[u8], file: u32) -> Result<SpillLocation, BulkError> {
        let location = self.file(file)?.append(value)?;
        self.lock().spilled_len += u64::from(location.len);
        Ok(location)
    }

    /// Takes back the buffer of a chunk without records.
    pub(super) fn give_back(&self, buffer: Vec<u8>) -> Result<(), BulkError> {
        if buffer.capacity() > 0 {
            self.lock().reclaim(buffer, self.budget.chunk_len)?;
        }
        Ok(())
    }

    /// Number of bytes that were spilled.
    pub(super) fn spilled_len(&self) -> u64 {
        self.lock().spilled_len
    }

    /// Memory that sorting the largest bucket takes, in bytes.
    pub(super) fn largest_sort_len(&self) -> u64 {
        self.lock().buckets.iter().map(Bucket::sort_len).max().unwrap_or(0)
    }

    /// Spills chunks until at most `resident_len` bytes of them are in memory. Only when no more
    /// records are put.
    pub(super) fn shrink_to(&self, resident_len: usize) -> Result<(), BulkError> {
        loop {
            let victims = {
                let mut state = self.lock();
                state.drop_free()?;
                // Less memory in use than there may be is no excess.
                let excess = state.in_use.saturating_sub(resident_len);
                if excess == 0 {
                    return Ok(());
                }
                state.take_resident(excess.min(self.budget.len / SPILL_PART))?
            };
            if victims.is_empty() {
                return Ok(());
            }
            self.spill(victims, 0)?;
        }
    }

    /// Takes a bucket out. Only when no more records are put.
    pub(super) fn take(&self, bucket: usize) -> Result<Bucket, BulkError> {
        Ok(mem::take(self.lock().buckets.get_mut(bucket).or_broken(ALL_BUCKETS)?))
    }

    fn lock(&self) -> MutexGuard<'_, ChunkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn empty_buffer(len: usize) -> Result<Vec<u8>, BulkError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| WriteError::out_of_memory(len))?;
    Ok(buffer)
}

impl ChunkState {
    /// Takes chunks out of memory, from the last buckets first. Those are written last, so the
    /// first buckets may never have to be read back.
    fn take_resident(&mut self, len: usize) -> Result<Vec<(usize, Chunk)>, BulkError> {
        let (mut taken, mut taken_len) = (Vec::new(), 0);
        while taken_len < len && self.resident_end > 0 {
            let bucket = self.resident_end - 1;
            let of_bucket = self.buckets.get_mut(bucket).or_broken(ALL_BUCKETS)?;
            match of_bucket.resident.pop() {
                Some(chunk) => {
                    of_bucket.records -= u64::from(chunk.records);
                    of_bucket.len -= chunk.bytes.len() as u64;
                    taken_len += chunk.bytes.capacity();
                    taken.push((bucket, chunk));
                }
                None => {
                    of_bucket.resident = Vec::new();
                    self.resident_end = bucket;
                }
            }
        }
        Ok(taken)
    }

    fn reclaim(&mut self, mut buffer: Vec<u8>, chunk_len: usize) -> Result<(), BrokenInvariant> {
        if buffer.capacity() == chunk_len {
            buffer.clear();
            self.free.push(buffer);
            return Ok(());
        }
        self.release(buffer.capacity())
    }

    fn drop_free(&mut self) -> Result<(), BrokenInvariant> {
        let free = mem::take(&mut self.free).iter().map(Vec::capacity).sum();
        self.release(free)
    }

    /// Takes the capacity of freed buffers off the memory in use.
    fn release(&mut self, capacity: usize) -> Result<(), BrokenInvariant> {
        self.in_use = self.in_use.checked_sub(capacity).or_broken(COUNTED)?;
        Ok(())
    }
}
