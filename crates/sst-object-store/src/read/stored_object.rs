//! An object as a file of the reader.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sst_reader::{FileStoreError, RangedFile};

use super::prefetched::{Piece, locked};
use super::store_files::Shared;
use crate::store::ObjectVersion;
use crate::{Store, StoreError};

/// Length of the end that is read when an object is opened: of a table the offset table and the
/// index block, of most meta files all.
const END_LEN: u64 = 64 << 10;

/// An object whose version is known.
#[derive(Debug)]
pub(super) struct StoredObject {
    shared: Arc<Shared>,
    store: Store,
    name: Arc<str>,
    version: Arc<ObjectVersion>,
    end: Bytes,
    /// The pieces that were asked for and not read yet, in the order of their ranges.
    pieces: Mutex<Vec<Arc<Piece>>>,
}

impl StoredObject {
    /// Reads the end of an object.
    pub(super) fn open(
        shared: &Arc<Shared>,
        store: Store,
        name: String,
    ) -> Result<Self, StoreError> {
        let (name, of_store): (Arc<str>, _) = (name.into(), store.clone());
        let asked = Arc::clone(&name);
        let end = shared.worker()?.run(async move { of_store.read_end(&asked, END_LEN).await })?;
        let (version, end) = (Arc::new(end.version), end.bytes);
        let pieces = Mutex::default();
        Ok(Self { shared: Arc::clone(shared), store, name, version, end, pieces })
    }

    /// The end of the object that is in memory, from this byte on.
    fn end_start(&self) -> u64 {
        // The end is no longer than the object.
        self.version.len.saturating_sub(self.end.len() as u64)
    }

    /// The piece with this byte.
    fn piece_of(&self, at: u64) -> Option<Arc<Piece>> {
        locked(&self.pieces).iter().find(|piece| piece.range.contains(&at)).cloned()
    }

    /// Forgets the pieces that end where a read has ended, or before.
    fn forget(&self, read: &Range<u64>) {
        let is_read = |piece: &Piece| piece.range.end <= read.end && piece.range.end > read.start;
        locked(&self.pieces).retain(|piece| !is_read(piece));
    }

    /// Fills a buffer from byte `at` on: with what is in memory or on its way, and the rest by a
    /// request.
    fn fill(&self, mut buffer: &mut [u8], mut at: u64) -> Result<(), StoreError> {
        while !buffer.is_empty() {
            let piece = match self.piece_of(at) {
                Some(piece) if at < self.end_start() => {
                    piece.bytes()?.map(|bytes| (piece.range.start, bytes))
                }
                _ => None,
            };
            let (start, bytes) = match piece {
                _ if at >= self.end_start() => (self.end_start(), self.end.clone()),
                Some(found) => found,
                None => (at, self.request(at..at + buffer.len() as u64)?),
            };
            let outside = || StoreError::Internal("a range of an object has its bytes");
            let skipped = usize::try_from(at - start).map_err(|_| outside())?;
            let bytes = bytes.get(skipped..).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or_else(outside)?;
            let len = bytes.len().min(buffer.len());
            let (filled, rest) = buffer.split_at_mut(len);
            filled.copy_from_slice(bytes.get(..len).ok_or_else(outside)?);
            (buffer, at) = (rest, at + len as u64);
        }
        Ok(())
    }

    fn request(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        // The end of the object is in memory.
        let range = range.start..range.end.min(self.end_start().max(range.start + 1));
        let (store, name) = (self.store.clone(), Arc::clone(&self.name));
        let version = Arc::clone(&self.version);
        let request = async move { store.read_version(&name, range, &version).await };
        self.shared.worker()?.run(request)
    }
}

impl RangedFile for StoredObject {
    fn len(&self) -> u64 {
        self.version.len
    }

    fn version(&self) -> Option<&str> {
        self.version.e_tag.as_deref()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), FileStoreError> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.version.len);
        let outside = StoreError::Internal("reads lie within their object");
        let end = end.ok_or(outside).map_err(super::store_files::failure)?;
        self.fill(buffer, offset).map_err(super::store_files::failure)?;
        self.forget(&(offset..end));
        Ok(())
    }

    fn prefetch(&self, range: Range<u64>) {
        let range = range.start..range.end.min(self.end_start());
        // Pieces that had to make room are asked for again.
        locked(&self.pieces).retain(|piece| !piece.is_gone());
        if range.is_empty() || self.piece_of(range.start).is_some() {
            return;
        }
        // Without threads the read that follows reports it.
        let Ok(worker) = self.shared.worker() else { return };
        // A range longer than all pieces together is left to the read that follows.
        let Some(piece) = self.shared.pieces.add(range) else { return };
        locked(&self.pieces).push(Arc::clone(&piece));
        let (store, name) = (self.store.clone(), Arc::clone(&self.name));
        let (version, places) = (Arc::clone(&self.version), Arc::clone(&self.shared.places));
        worker.spawn(async move {
            let place = places.acquire_owned().await;
            let bytes = store.read_version(&name, piece.range.clone(), &version).await;
            drop(place);
            // The read that follows reports an error.
            piece.arrive(bytes);
        });
    }
}
