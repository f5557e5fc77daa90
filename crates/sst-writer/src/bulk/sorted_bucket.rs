//! Sorts records in memory.

use std::hint::black_box;

use super::bulk_error::BulkError;
use super::chunk_store::{Chunk, ChunkStore, SpilledChunk};
use super::record::Record;
use super::record_sink::{RecordSink, SortedRecord};
use crate::{WriteError, hash_key};

/// How many records are fetched from memory at once, before the first of them is needed.
const FETCHED_RECORDS: usize = 16;

/// The error of a chunk that does not consist of records. Its checksum was right, so it was written
/// like that.
#[cold]
fn bad_chunk() -> BulkError {
    BulkError::Internal("a chunk is not made of records")
}

/// Sorts the records of some chunks where they lie: what is moved is 16 bytes for each.
///
/// An index entry holds, from the top: 64 bits hash, 32 bits number of the chunk, 32 bits position
/// in it.
#[derive(Debug, Default)]
pub(super) struct SortedBucket {
    chunks: Vec<Chunk>,
    index: Vec<u128>,
    /// Buffers to read spilled chunks into.
    buffers: Vec<Vec<u8>>,
    /// How many of the chunks, counted from the first, were read into such buffers.
    read_chunks: usize,
}

impl SortedBucket {
    /// Adds a chunk that was spilled. Chunks in memory come after those that were spilled.
    pub(super) fn read(&mut self, store: &ChunkStore, from: SpilledChunk) -> Result<(), BulkError> {
        // Without a used buffer it takes a new one.
        let mut bytes = self.buffers.pop().unwrap_or_default();
        store.file(from.file)?.read(from.place, &mut bytes)?;
        self.read_chunks += 1;
        self.add(Chunk { bytes, records: from.records })
    }

    /// Adds a chunk.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<(), BulkError> {
        let number = (self.chunks.len() as u128) << 32;
        let mut rest = chunk.bytes.as_slice();
        WriteError::try_reserve(&mut self.index, chunk.records as usize)?;
        while !rest.is_empty() {
            let at = chunk.bytes.len() - rest.len();
            let (record, after) = Record::decode(rest).ok_or_else(bad_chunk)?;
            rest = after;
            self.index.push((u128::from(hash_key(record.key)) << 64) | number | at as u128);
        }
        self.chunks.push(chunk);
        Ok(())
    }

    /// Brings the records into order. O(n log n) in their number.
    pub(super) fn sort(&mut self) {
        let Self { chunks, index, .. } = self;
        index.sort_unstable();
        for run in index.chunk_by_mut(|a, b| hash_of(*a) == hash_of(*b)) {
            if run.len() > 1 {
                // A record that cannot be read is reported when it is handed on.
                run.sort_unstable_by(|a, b| match (record_at(chunks, *a), record_at(chunks, *b)) {
                    (Some(a), Some(b)) => a.order(&b),
                    (a, b) => a.is_some().cmp(&b.is_some()),
                });
            }
        }
    }

    /// Hands on all records in their order. `is_whole` says whether all records of each hash are
    /// here.
    pub(super) fn hand_on(
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

    /// Looks at all of these records, so that their cache lines are waited for together and not one
    /// after the other: sorted records lie anywhere.
    fn fetch(&self, entries: &[u128]) {
        let mut sum = 0;
        for &entry in entries {
            let (chunk, at) = place_of(entry);
            // Only a hint: what is not there is reported when the record is read.
            let Some(chunk) = self.chunks.get(chunk) else { continue };
            for line in [at, at + 64, at + 128] {
                sum ^= chunk.bytes.get(line).copied().unwrap_or(0);
            }
        }
        black_box(sum);
    }

    /// Forgets all records. Buffers that chunks were read into are kept for the next ones, those of
    /// chunks that were in memory are not: their memory was lent.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        let read = self.chunks.drain(..).take(self.read_chunks);
        self.buffers.extend(read.map(|chunk| chunk.bytes));
        self.read_chunks = 0;
    }

    /// Gives back all memory.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }
}

const fn hash_of(entry: u128) -> u64 {
    (entry >> 64) as u64
}

/// Number of the chunk, and position in it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "32 bits are cut out")]
const fn place_of(entry: u128) -> (usize, usize) {
    ((entry >> 32) as u32 as usize, entry as u32 as usize)
}

#[inline]
fn record_at(chunks: &[Chunk], entry: u128) -> Option<Record<'_>> {
    let (chunk, at) = place_of(entry);
    let bytes = chunks.get(chunk)?.bytes.get(at..)?;
    Record::decode(bytes).map(|(record, _)| record)
}
