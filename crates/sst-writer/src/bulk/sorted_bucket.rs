//! Sorts records in memory.

use super::bulk_error::BulkError;
use super::chunk_store::{Chunk, ChunkStore, SpilledChunk};
use super::record::Record;
use super::record_sink::{RecordSink, SortedRecord};
use crate::hash_key;

/// The error of a chunk that does not consist of records. Its checksum was right, so it was written like that.
const BAD_CHUNK: BulkError = BulkError::Internal("a chunk is not made of records");

/// Sorts the records of some chunks where they lie: what is moved is 16 bytes for each.
///
/// An index entry holds, from the top: 64 bits hash, 32 bits number of the chunk, 32 bits position in it.
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
        let mut bytes = self.buffers.pop().unwrap_or_default();
        store.file(from.file)?.read(from.place, &mut bytes)?;
        self.read_chunks += 1;
        self.add(Chunk { bytes, records: from.records })
    }

    /// Adds a chunk.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<(), BulkError> {
        let number = (self.chunks.len() as u128) << 32;
        let mut rest = chunk.bytes.as_slice();
        self.index.reserve(chunk.records as usize);
        while !rest.is_empty() {
            let at = chunk.bytes.len() - rest.len();
            let (record, after) = Record::decode(rest).ok_or(BAD_CHUNK)?;
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

    /// Hands on all records in their order. `is_whole` says whether all records of each hash are here.
    pub(super) fn hand_on(
        &self,
        is_whole: bool,
        sink: &mut impl RecordSink,
    ) -> Result<(), BulkError> {
        let mut entries = self.index.iter().copied().peekable();
        let mut previous = None;
        while let Some(entry) = entries.next() {
            let hash = hash_of(entry);
            let follows = entries.peek().is_some_and(|next| hash_of(*next) == hash);
            let is_alone = is_whole && !follows && previous != Some(hash);
            previous = Some(hash);
            let record = record_at(&self.chunks, entry).ok_or(BAD_CHUNK)?;
            sink.accept(SortedRecord { hash, record, is_alone })?;
        }
        Ok(())
    }

    /// Forgets all records. Buffers that chunks were read into are kept for the next ones, those of chunks that were in
    /// memory are not: their memory was lent.
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

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "32 bits are cut out")]
fn record_at(chunks: &[Chunk], entry: u128) -> Option<Record<'_>> {
    let (chunk, at) = ((entry >> 32) as u32, entry as u32);
    let bytes = chunks.get(chunk as usize)?.bytes.get(at as usize..)?;
    Record::decode(bytes).map(|(record, _)| record)
}
