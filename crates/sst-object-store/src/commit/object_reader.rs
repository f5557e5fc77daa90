//! Ranged reads of one object, of which the ends are kept.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use crate::{Store, StoreError};

/// Length of the two ends that are kept. Most meta files are shorter: they take one request.
const END_LEN: u64 = 64 << 10;

/// Ranges that are at most so far apart are read together.
const MAX_GAP: u64 = 64 << 10;

/// Longest run of ranges that is read together. A longer range is read whole.
const MAX_RUN: u64 = 8 << 20;

/// Runs that are read at once.
const PARALLEL_READS: usize = 8;

/// An object that is read in ranges. Its first and last 64 KiB are read once.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    store: Store,
    name: String,
    len: u64,
    start: Bytes,
    end: OnceCell<Bytes>,
}

impl ObjectReader {
    /// Reads the start of an object.
    pub(crate) async fn open(store: &Store, name: String) -> Result<Self, StoreError> {
        let start = store.read_start(&name, END_LEN).await?;
        let (len, start) = (start.len, start.bytes);
        Ok(Self { store: store.clone(), name, len, start, end: OnceCell::new() })
    }

    /// The length of the object in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// The object, for messages.
    pub(crate) fn object(&self) -> String {
        self.store.object(&self.name)
    }

    /// Reads a range that lies within the object.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        if let Some(bytes) = slice(&self.start, 0, &range) {
            return Ok(bytes);
        }
        let end_start = self.end_start();
        if range.start < end_start {
            return self.store.read_range(&self.name, range, self.len).await;
        }
        let read = || self.store.read_range(&self.name, end_start..self.len, self.len);
        let end = self.end.get_or_try_init(read).await?;
        let outside = || StoreError::internal("ranges of an object lie within it");
        slice(end, end_start, &range).ok_or_else(outside)
    }

    /// Reads ranges that lie within the object, in any order. Those that are near each other are
    /// read together, several requests at once.
    pub(crate) async fn read_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let mut order: Vec<_> = ranges.iter().enumerate().collect();
        order.sort_by_key(|(_, range)| range.start);
        let mut runs: Vec<(Range<u64>, Vec<usize>)> = Vec::new();
        for (index, range) in order {
            match runs.last_mut() {
                Some((run, indices))
                    // Ranges ascend by their starts, so one that starts within the run has no gap.
                    if range.start.saturating_sub(run.end) <= MAX_GAP
                        && range.end.max(run.end) - run.start <= MAX_RUN =>
                {
                    run.end = run.end.max(range.end);
                    indices.push(index);
                }
                _ => runs.push((range.clone(), vec![index])),
            }
        }
        let read = |(run, indices): (Range<u64>, Vec<usize>)| async move {
            let bytes = self.read(run.clone()).await?;
            let part = |index: usize| {
                let bytes = ranges.get(index).and_then(|range| slice(&bytes, run.start, range));
                let bytes = bytes.ok_or_else(|| StoreError::internal("a run holds its ranges"))?;
                Ok::<_, StoreError>((index, bytes))
            };
            indices.into_iter().map(part).collect::<Result<Vec<_>, _>>()
        };
        let parts = futures_util::stream::iter(runs.into_iter().map(read));
        let parts: Vec<_> = parts.buffer_unordered(PARALLEL_READS).try_collect().await?;
        let mut parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.sort_by_key(|(index, _)| *index);
        Ok(parts.into_iter().map(|(_, bytes)| bytes).collect())
    }

    /// The last `len` bytes, or all of a shorter object.
    pub(crate) async fn last_bytes(&self, len: usize) -> Result<Bytes, StoreError> {
        // A shorter object is read from byte 0.
        self.read(self.len.saturating_sub(len as u64)..self.len).await
    }

    fn end_start(&self) -> u64 {
        // The end of an object that is shorter than that is all of it.
        self.len.saturating_sub(END_LEN)
    }
}

/// The bytes of a range of the object, if `bytes`, which start at byte `at` of it, hold all of
/// them.
fn slice(bytes: &Bytes, at: u64, range: &Range<u64>) -> Option<Bytes> {
    let start = usize::try_from(range.start.checked_sub(at)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(at)?).ok()?;
    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
}
