//! The handle through which one thread puts records into a load.

use std::mem;
use std::sync::Arc;

use sst_format::limits::MAX_KEY_LEN;

use super::blob_writer::BlobWriter;
use super::budget::{BUCKETS, Totals, bucket_of};
use super::bulk_error::BulkError;
use super::chunk_store::Chunk;
use super::input_position::InputPosition;
use super::record::{DetachedValue, MAX_OVERHEAD, Record, RecordValue};
use super::shared::Shared;
use crate::codec::spliced_block::PIECE_LEN;
use crate::invariant::OrBroken;
use crate::{Entry, EntryValue, WriteError, hash_key};

/// The invariant of a handle's open chunks.
const CHUNK_PER_BUCKET: &str = "a handle has a chunk for each bucket";

/// Puts records into a [`BulkLoader`](crate::BulkLoader), in any order, without waiting for other
/// handles.
///
/// A handle belongs to one stream of the input, and each record has a position in this stream.
/// Stream and position alone decide which of two records of a key is the later one, so the result
/// does not depend on how threads take turns. Several handles may share a stream if the caller
/// passes the positions of their records to the `_at` methods.
///
/// A put takes O(length of key and value): it hashes the key and appends the record to a buffer.
/// When the budget is used up, it writes some of the records to disk.
///
/// Call [`BulkHandle::finish`] at the end. If a handle is dropped without it, the load fails,
/// because the records of the handle may be incomplete.
#[derive(Debug)]
pub struct BulkHandle {
    shared: Arc<Shared>,
    stream: u64,
    /// The position of the next record without one of its own. `None` behind the last position.
    next_position: Option<u64>,
    /// Number of the spill file that this handle writes to.
    file: u32,
    /// One chunk for each bucket. A chunk without a buffer has no capacity.
    open: Vec<Chunk>,
    /// Sums over the records that are not yet counted in the totals of the load.
    put: Totals,
    is_finished: bool,
}

impl BulkHandle {
    pub(super) fn new(shared: Arc<Shared>, stream: u64) -> Self {
        let file = shared.start_handle();
        Self {
            shared,
            stream,
            next_position: Some(0),
            file,
            open: (0..BUCKETS).map(|_| Chunk::default()).collect(),
            put: Totals::default(),
            is_finished: false,
        }
    }

    /// The stream of the input that this handle belongs to.
    #[must_use]
    pub const fn stream(&self) -> u64 {
        self.stream
    }

    /// Puts a record at the position after the last record's, starting with 0. A value longer than
    /// [`BulkOptions::blob_threshold`](crate::BulkOptions::blob_threshold) becomes a blob.
    ///
    /// # Errors
    ///
    /// [`BulkError`]. After [`BulkError::Entry`] and [`BulkError::NoPosition`] the caller may go on
    /// with other records; after any other error the load has failed.
    #[inline]
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.put_at(self.next_position()?, key, value)
    }

    /// Puts a record at a position that the caller chooses, for example a line number or an offset.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    #[inline]
    pub fn put_at(
        &mut self,
        position: u64,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), BulkError> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let input_position = self.next_input_position(position, key)?;
        let record_value = if value.len() < self.shared.detached_len {
            RecordValue::Bytes(value)
        } else {
            self.write_detached(input_position, value)?
        };
        self.add(Record { input_position, key, value: record_value }, value.len() as u64)
    }

    /// Puts a record whose value becomes a blob, however short it is.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn put_blob(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), BulkError> {
        self.put_blob_at(self.next_position()?, key, value)
    }

    /// Puts a record whose value becomes a blob, at a position that the caller chooses.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn put_blob_at(
        &mut self,
        position: u64,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), BulkError> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let input_position = self.next_input_position(position, key)?;
        let value_len = value.len() as u64;
        let value = self.write_blob(input_position, value)?;
        self.add(Record { input_position, key, value }, value_len)
    }

    /// A writer for a value that does not fit into memory.
    ///
    /// It takes neither memory nor files before its first bytes.
    #[must_use]
    pub fn blob_writer(&self) -> BlobWriter {
        BlobWriter::new(Arc::clone(&self.shared))
    }

    /// Puts a record whose value was written to `blob`, at a position that the caller chooses. The
    /// value becomes a blob, however short it is. `blob` starts another value.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn put_blob_from_at(
        &mut self,
        position: u64,
        key: impl AsRef<[u8]>,
        blob: &mut BlobWriter,
    ) -> Result<(), BulkError> {
        let key = key.as_ref();
        let input_position = self.next_input_position(position, key)?;
        let value_len = blob.len();
        let ticket = blob.finish(&self.shared, input_position);
        let value = RecordValue::Blob(self.shared.fail_load_on_error(ticket)?);
        self.add(Record { input_position, key, value }, value_len)
    }

    /// Puts a record that deletes its key.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.delete_at(self.next_position()?, key)
    }

    /// Puts a record that deletes its key, at a position that the caller chooses.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn delete_at(&mut self, position: u64, key: impl AsRef<[u8]>) -> Result<(), BulkError> {
        let key = key.as_ref();
        let input_position = self.next_input_position(position, key)?;
        self.add(Record { input_position, key, value: RecordValue::Deleted }, 0)
    }

    /// Puts an entry as a record, as [`BulkHandle::put`] and [`BulkHandle::delete`] do. A pair of
    /// key and value is an entry; the class of its value does not matter here.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`]. [`WriteError::StoredForm`] for a value that is not there as bytes:
    /// [`EntryValue::MediumStored`] and [`EntryValue::Blob`].
    pub fn put_entry(&mut self, entry: &impl Entry) -> Result<(), BulkError> {
        let in_memory = entry.hashed_key().map(|key| key.key());
        let mut written = Vec::new();
        let key = match in_memory.or_else(|| entry.key_in_memory()) {
            Some(key) => key,
            None => {
                written.reserve(entry.key_len().min(MAX_KEY_LEN));
                entry.write_key_to(&mut written);
                &written
            }
        };
        match entry.value() {
            EntryValue::Inline(value) | EntryValue::Small(value) | EntryValue::Medium(value) => {
                self.put(key, value)
            }
            EntryValue::Deleted => self.delete(key),
            EntryValue::MediumStored { .. } | EntryValue::Blob(_) => {
                let position = self.next_position()?;
                let input_position = self.next_input_position(position, key)?;
                let source = WriteError::StoredForm { entry: position };
                Err(BulkError::Entry { input_position, source })
            }
        }
    }

    /// Puts entries one after the other, as [`BulkHandle::put_entry`] does.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put_entry`]; the entries after the failed one are not put.
    pub fn extend<E: Entry>(
        &mut self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<(), BulkError> {
        entries.into_iter().try_for_each(|entry| self.put_entry(&entry))
    }

    /// Ends the handle, and adds its last records to the load.
    ///
    /// # Errors
    ///
    /// [`BulkError`] if the load has failed or was cancelled.
    pub fn finish(mut self) -> Result<(), BulkError> {
        self.shared.check()?;
        for (bucket, chunk) in mem::take(&mut self.open).into_iter().enumerate() {
            if chunk.records > 0 {
                self.shared.store.add(bucket, chunk)?;
            } else {
                self.shared.store.give_back(chunk.bytes)?;
            }
        }
        self.shared.count(mem::take(&mut self.put));
        self.is_finished = true;
        Ok(())
    }

    /// The position of a record that the caller gives none.
    fn next_position(&self) -> Result<u64, BulkError> {
        self.next_position.ok_or(BulkError::NoPosition { stream: self.stream })
    }

    /// The input position of the next record. Checks the length of its key.
    #[inline]
    fn next_input_position(
        &mut self,
        position: u64,
        key: &[u8],
    ) -> Result<InputPosition, BulkError> {
        let input_position = InputPosition { stream: self.stream, position };
        self.next_position = position.checked_add(1);
        if key.len() > MAX_KEY_LEN {
            let source = WriteError::KeyTooLong { entry: position, len: key.len() };
            return Err(BulkError::Entry { input_position, source });
        }
        Ok(input_position)
    }

    /// Writes a long value to a blob file or a spill file, so that its record does not hold it.
    #[cold]
    fn write_detached<'v>(
        &self,
        input_position: InputPosition,
        value: &'v [u8],
    ) -> Result<RecordValue<'v>, BulkError> {
        self.shared.check()?;
        if value.len() > self.shared.blob_threshold() {
            return self.write_blob(input_position, value);
        }
        let location =
            self.shared.fail_load_on_error(self.shared.store.append(value, self.file))?;
        Ok(RecordValue::Detached(DetachedValue { file: self.file, location }))
    }

    /// Writes a blob. A long one is compressed piece by piece, so that it takes no memory beside
    /// the value, and has the same bytes as if it had been written through a [`BlobWriter`].
    fn write_blob<'v>(
        &self,
        input_position: InputPosition,
        value: &[u8],
    ) -> Result<RecordValue<'v>, BulkError> {
        let ticket = match value.len() <= PIECE_LEN {
            true => self.shared.write_blob(input_position, value),
            false => {
                let mut blob = self.blob_writer();
                blob.write(value).and_then(|()| blob.finish(&self.shared, input_position))
            }
        };
        Ok(RecordValue::Blob(self.shared.fail_load_on_error(ticket)?))
    }

    #[inline]
    fn add(&mut self, record: Record<'_>, value_len: u64) -> Result<(), BulkError> {
        let bucket = bucket_of(hash_key(record.key));
        let needed = MAX_OVERHEAD + record.key.len() + record.value.inline_len();
        let mut open = self.open.get_mut(bucket).or_broken(CHUNK_PER_BUCKET)?;
        if open.bytes.capacity() - open.bytes.len() < needed {
            self.renew(bucket, needed)?;
            open = self.open.get_mut(bucket).or_broken(CHUNK_PER_BUCKET)?;
        }
        record.encode(&mut open.bytes);
        open.records += 1;
        self.put.records += 1;
        self.put.bytes += record.key.len() as u64 + value_len;
        Ok(())
    }

    /// Gives a bucket a new chunk with room for `needed` bytes.
    #[cold]
    fn renew(&mut self, bucket: usize, needed: usize) -> Result<(), BulkError> {
        self.shared.check()?;
        self.shared.count(mem::take(&mut self.put));
        let shared = Arc::clone(&self.shared);
        let open = self.open.get_mut(bucket).or_broken(CHUNK_PER_BUCKET)?;
        let full = mem::take(open);
        match full.records {
            0 => shared.fail_load_on_error(shared.store.give_back(full.bytes))?,
            _ => shared.fail_load_on_error(shared.store.add(bucket, full))?,
        }
        let buffer = shared.fail_load_on_error(self.buffer(needed))?;
        self.open.get_mut(bucket).or_broken(CHUNK_PER_BUCKET)?.bytes = buffer;
        Ok(())
    }

    fn buffer(&mut self, needed: usize) -> Result<Vec<u8>, BulkError> {
        let store = &self.shared.store;
        if let Some(buffer) = store.buffer(needed, self.file)? {
            return Ok(buffer);
        }
        // The budget is taken up by open chunks. Those of this handle can be spilled here, those of
        // other handles cannot.
        let open = self.open.iter_mut().map(mem::take).enumerate();
        let (used, unused): (Vec<_>, Vec<_>) = open.partition(|(_, chunk)| chunk.records > 0);
        unused.into_iter().try_for_each(|(_, chunk)| store.give_back(chunk.bytes))?;
        store.spill(used, self.file)?;
        match store.buffer(needed, self.file)? {
            Some(buffer) => Ok(buffer),
            None => store.buffer_beyond_budget(needed),
        }
    }
}

impl Drop for BulkHandle {
    fn drop(&mut self) {
        self.shared.end_handle((!self.is_finished).then_some(self.stream));
    }
}
