//! In-memory sorting of records.

use std::hint::black_box;

use super::bulk_error::BulkError;
use super::chunk_store::{Chunk, ChunkStore, SpilledChunk};
use super::record::Record;
use super::record_sink::{RecordSink, SortedRecord};
use crate::invariant::BrokenInvariant;
use crate::{WriteError, hash_key};

/// Number of records whose memory is read together, before the first of them is used.
const FETCHED_RECORDS: usize = 16;

/// The error of a chunk whose bytes are not records. Its checksum matches, so it was written like
/// that.
#[cold]
fn bad_chunk() -> BulkError {
    BulkError::Internal("a chunk is not made of records")
}

/// Sorts the records of some chunks without moving them: only an index of 16 bytes per record is
/// sorted.
///
/// The records of a bucket lie together, copied there by handles, so that they are in a near cache
/// when they are passed on in their order. To leave them where the caller has them, in an input
/// larger than the caches, made loads slower (docs/PERFORMANCE.md, "From Python").
///
/// An index entry holds, from the top bit on: the hash (64 bits), the number of the chunk (32
/// bits), the position in the chunk (32 bits).
#[derive(Debug, Default)]
pub(super) struct SortedBucket {
    chunks: Vec<Chunk>,
    index: Vec<u128>,
    /// Buffers for reading spilled chunks.
    buffers: Vec<Vec<u8>>,
    /// Number of chunks, counted from the first, that were read into such buffers.
    read_chunks: usize,
}

impl SortedBucket {
    /// Reads a spilled chunk and adds it. Spilled chunks must be added before chunks in memory.
    pub(super) fn read(&mut self, store: &ChunkStore, from: SpilledChunk) -> Result<(), BulkError> {
        // If no used buffer is left, this takes a new one.
        let mut bytes = self.buffers.pop().unwrap_or_default();
        store.file(from.file)?.read(from.location, &mut bytes)?;
        self.read_chunks += 1;
        self.add(Chunk { bytes, records: from.records })
    }

    /// Adds a chunk that is in memory.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<(), BulkError> {
        let number = (self.chunks.len() as u128) << 32;
        let mut rest = chunk.bytes.as_slice();
        let end = self.index.len() + chunk.records as usize;
        WriteError::try_reserve(&mut self.index, chunk.records as usize)?;
        while !rest.is_empty() {
            let at = chunk.bytes.len() - rest.len();
            let (record, after) = Record::decode(rest).ok_or_else(bad_chunk)?;
            rest = after;
            self.index.push((u128::from(hash_key(record.key)) << 64) | number | at as u128);
        }
        if self.index.len() != end {
            return Err(BrokenInvariant::new("a chunk has as many records as were put in").into());
        }
        self.chunks.push(chunk);
        Ok(())
    }

    /// Sorts the index. O(n log n) for n records.
    pub(super) fn sort(&mut self) {
        let Self { chunks, index, .. } = self;
        index.sort_unstable();
        for run in index.chunk_by_mut(|a, b| hash_of(*a) == hash_of(*b)) {
            if run.len() > 1 {
                // A record that cannot be decoded is reported when it is passed on.
                run.sort_unstable_by(|a, b| match (record_at(chunks, *a), record_at(chunks, *b)) {
                    (Some(a), Some(b)) => a.order(&b),
                    (a, b) => a.is_some().cmp(&b.is_some()),
                });
            }
        }
    }

    /// Passes all records to `sink` in order. `is_whole` tells that no other record of the load has
    /// one of their hashes.
    pub(super) fn emit_to(
        &self,
        is_whole: bool,
        sink: &mut impl RecordSink,
    ) -> Result<(), BulkError> {
        let mut previous = None;
        let mut rest = self.index.as_slice();
        while let Some((entries, after)) =
            rest.split_at_checked(FETCHED_RECORDS.min(rest.len())).filter(|it| !it.0.is_empty())
        {
            self.fetch(entries);
            let next = entries.iter().skip(1).chain(after.first()).map(Some).chain([None]);
            for (&entry, next) in entries.iter().zip(next) {
                let hash = hash_of(entry);
                let follows = next.is_some_and(|next| hash_of(*next) == hash);
                let is_alone = is_whole && !follows && previous != Some(hash);
                previous = Some(hash);
                let record = record_at(&self.chunks, entry).ok_or_else(bad_chunk)?;
                sink.accept(SortedRecord { hash, record, is_alone })?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Reads a byte of each of these records. Sorted records lie anywhere in memory, and this way
    /// the processor waits for their cache lines together instead of one after the other.
    fn fetch(&self, entries: &[u128]) {
        let mut sum = 0;
        for &entry in entries {
            let (chunk, at) = location_of(entry);
            // Only a hint: a record that is missing is reported when it is passed on.
            let Some(chunk) = self.chunks.get(chunk) else { continue };
            for line in [at, at + 64, at + 128] {
                sum ^= chunk.bytes.get(line).copied().unwrap_or(0);
            }
        }
        black_box(sum);
    }

    /// Removes all records. Keeps the buffers into which chunks were read, for further chunks. The
    /// memory of other chunks belongs to the store's budget, and is freed.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        let read = self.chunks.drain(..).take(self.read_chunks);
        self.buffers.extend(read.map(|chunk| chunk.bytes));
        self.read_chunks = 0;
    }

    /// Frees all memory.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }
}

const fn hash_of(entry: u128) -> u64 {
    (entry >> 64) as u64
}

/// Number of the chunk, and the position in it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "32 bits are cut out")]
const fn location_of(entry: u128) -> (usize, usize) {
    ((entry >> 32) as u32 as usize, entry as u32 as usize)
}

#[inline]
fn record_at(chunks: &[Chunk], entry: u128) -> Option<Record<'_>> {
    let (chunk, at) = location_of(entry);
    let bytes = chunks.get(chunk)?.bytes.get(at..)?;
    Record::decode(bytes).map(|(record, _)| record)
}
