//! External sorting: a bucket larger than the memory for sorting becomes sorted runs on disk, which
//! are then merged.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem;
use std::sync::Arc;

use super::budget::SORT_LEN_PER_RECORD;
use super::bulk_error::BulkError;
use super::chunk_store::{Bucket, ChunkStore};
use super::record::{MAX_OVERHEAD, Record};
use super::record_sink::{RecordSink, SortedRecord};
use super::shared::Shared;
use super::sorted_bucket::SortedBucket;
use super::spill_file::{SpillFile, SpillLocation};
use crate::hash_key;

/// The error of a run whose bytes are not records.
#[cold]
fn bad_run() -> BulkError {
    BulkError::Internal("a run is not made of records")
}

/// Smallest number of runs that are merged at once.
const MIN_FAN_IN: usize = 4;

/// A bucket in the form of sorted runs.
pub(super) struct RunMerge<'a> {
    shared: &'a Shared,
    runs: Vec<Run>,
    /// Highest number of runs that are merged at once.
    fan_in: usize,
}

/// A sorted run: records in a spill file, in pieces.
#[derive(Debug)]
struct Run {
    file: Arc<SpillFile>,
    pieces: Vec<SpillLocation>,
}

impl<'a> RunMerge<'a> {
    /// Sorts the bucket in parts of at most `sort_len` bytes, and writes each part to disk as a
    /// run.
    pub(super) fn new(
        shared: &'a Shared,
        bucket: Bucket,
        sort_len: usize,
        sorted: &mut SortedBucket,
    ) -> Result<Self, BulkError> {
        let mut merge = Self { shared, runs: Vec::new(), fan_in: 0 };
        let file = Arc::new(shared.spill_file());
        let store = &shared.store;
        // Each run that is read needs a buffer of the length of a chunk.
        merge.fan_in = (sort_len / store.budget().chunk_len.max(1)).max(MIN_FAN_IN);
        let (mut len, sort_len) = (0, sort_len as u64);
        for spilled in bucket.spilled {
            let needed = part_len(spilled.location.len.into(), spilled.records);
            merge.make_room(&mut len, needed, sort_len, &file, sorted)?;
            sorted.read(store, spilled)?;
        }
        // `SortedBucket` tells chunks that it read from chunks in memory by their order, so a part
        // has only one kind.
        merge.end_part(&file, sorted)?;
        len = 0;
        for chunk in bucket.resident {
            // The bytes of the chunk are in memory already, and the chunk store counts them.
            let needed = part_len(0, chunk.records);
            merge.make_room(&mut len, needed, sort_len, &file, sorted)?;
            sorted.add(chunk)?;
        }
        merge.end_part(&file, sorted)?;
        sorted.release();
        Ok(merge)
    }

    fn make_room(
        &mut self,
        len: &mut u64,
        needed: u64,
        sort_len: u64,
        file: &Arc<SpillFile>,
        sorted: &mut SortedBucket,
    ) -> Result<(), BulkError> {
        if *len > 0 && *len + needed > sort_len {
            self.end_part(file, sorted)?;
            *len = 0;
        }
        *len += needed;
        Ok(())
    }

    /// Sorts the gathered part and writes it as a run.
    fn end_part(
        &mut self,
        file: &Arc<SpillFile>,
        sorted: &mut SortedBucket,
    ) -> Result<(), BulkError> {
        self.shared.check()?;
        sorted.sort();
        let mut writer = RunWriter::new(Arc::clone(file), &self.shared.store);
        sorted.emit_to(false, &mut writer)?;
        sorted.clear();
        self.runs.extend(writer.finish()?);
        Ok(())
    }

    /// Merges the runs, and passes all records to `sink` in order.
    pub(super) fn emit_to(mut self, sink: &mut impl RecordSink) -> Result<(), BulkError> {
        while self.runs.len() > self.fan_in {
            let file = Arc::new(self.shared.spill_file());
            let mut runs = mem::take(&mut self.runs).into_iter();
            loop {
                let part: Vec<Run> = runs.by_ref().take(self.fan_in).collect();
                if part.is_empty() {
                    break;
                }
                let mut writer = RunWriter::new(Arc::clone(&file), &self.shared.store);
                Merge::new(part)?.emit_to(self.shared, &mut writer)?;
                self.runs.extend(writer.finish()?);
            }
        }
        Merge::new(self.runs)?.emit_to(self.shared, sink)
    }
}

/// Memory that sorting takes for these records, in bytes.
fn part_len(len: u64, records: u32) -> u64 {
    len + u64::from(records) * SORT_LEN_PER_RECORD
}

/// Writes a run.
struct RunWriter {
    file: Arc<SpillFile>,
    pieces: Vec<SpillLocation>,
    open: Vec<u8>,
    piece_len: usize,
}

impl RunWriter {
    fn new(file: Arc<SpillFile>, store: &ChunkStore) -> Self {
        let piece_len = store.budget().chunk_len;
        Self { file, pieces: Vec::new(), open: Vec::new(), piece_len }
    }

    fn end_piece(&mut self) -> Result<(), BulkError> {
        if !self.open.is_empty() {
            self.pieces.push(self.file.append(&self.open)?);
            self.open.clear();
        }
        Ok(())
    }

    /// Ends the run, and returns it if it has records.
    fn finish(mut self) -> Result<Option<Run>, BulkError> {
        self.end_piece()?;
        let Self { file, pieces, .. } = self;
        Ok((!pieces.is_empty()).then_some(Run { file, pieces }))
    }
}

impl RecordSink for RunWriter {
    fn accept(&mut self, sorted: SortedRecord<'_>) -> Result<(), BulkError> {
        let record = sorted.record;
        let most = MAX_OVERHEAD + record.key.len() + record.value.inline_len();
        if self.open.len() + most > self.piece_len {
            self.end_piece()?;
        }
        record.encode(&mut self.open);
        Ok(())
    }
}

/// Reads a run.
#[derive(Debug)]
struct RunReader {
    file: Arc<SpillFile>,
    pieces: std::vec::IntoIter<SpillLocation>,
    piece: Vec<u8>,
    /// The bytes of the piece at which the current record starts and ends.
    at: (usize, usize),
    hash: u64,
}

impl RunReader {
    /// Starts at the first record. A run has at least one.
    fn new(run: Run) -> Result<Self, BulkError> {
        let pieces = run.pieces.into_iter();
        let mut reader = Self { file: run.file, pieces, piece: Vec::new(), at: (0, 0), hash: 0 };
        match reader.advance()? {
            true => Ok(reader),
            false => Err(bad_run()),
        }
    }

    /// Moves to the next record. Returns `false` at the end of the run.
    fn advance(&mut self) -> Result<bool, BulkError> {
        let mut start = self.at.1;
        if start >= self.piece.len() {
            let Some(location) = self.pieces.next() else { return Ok(false) };
            self.file.read(location, &mut self.piece)?;
            start = 0;
        }
        let record = self.piece.get(start..).and_then(Record::decode);
        let (record, rest) = record.ok_or_else(bad_run)?;
        self.hash = hash_key(record.key);
        self.at = (start, self.piece.len() - rest.len());
        Ok(true)
    }

    /// The current record.
    fn record(&self) -> Option<Record<'_>> {
        Record::decode(self.piece.get(self.at.0..)?).map(|(record, _)| record)
    }
}

/// The order of readers in a max-heap: the reader with the lowest record is the greatest.
impl Ord for RunReader {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_record = || match (self.record(), other.record()) {
            (Some(a), Some(b)) => b.order(&a),
            // Each current record was decoded before. If one cannot be, `Merge::emit_to` reports
            // it.
            _ => Ordering::Equal,
        };
        other.hash.cmp(&self.hash).then_with(by_record)
    }
}

impl PartialOrd for RunReader {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RunReader {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RunReader {}

/// A merge of runs. The reader with the lowest record is at the top of the heap.
struct Merge {
    heap: BinaryHeap<RunReader>,
}

impl Merge {
    fn new(runs: Vec<Run>) -> Result<Self, BulkError> {
        let heap = runs.into_iter().map(RunReader::new).collect::<Result<_, _>>()?;
        Ok(Self { heap })
    }

    fn emit_to(mut self, shared: &Shared, sink: &mut impl RecordSink) -> Result<(), BulkError> {
        let mut handed = 0_u32;
        // The top of the heap is changed in place, so the heap is reordered once for each record.
        while let Some(mut first) = self.heap.peek_mut() {
            let record = first.record().ok_or_else(bad_run)?;
            sink.accept(SortedRecord { hash: first.hash, record, is_alone: false })?;
            if !first.advance()? {
                PeekMut::pop(first);
            }
            handed = handed.wrapping_add(1);
            if handed.trailing_zeros() >= 12 {
                shared.check()?;
            }
        }
        Ok(())
    }
}
