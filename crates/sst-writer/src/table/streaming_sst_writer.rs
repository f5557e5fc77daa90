//! The writer of one table.

use std::fmt;
use std::path::Path;

use sst_format::limits::MAX_KEY_LEN;

use crate::file::{AtomicFile, Sink};
use crate::table::Finished;
use crate::table::block_writer::{BlockWriter, Capacity, ENCODABLE};
use crate::table::entry_checks::StatedKey;
use crate::table::table_builder::TableBuilder;
use crate::{Entry, EntryValue, WriteError, WriterOptions};

/// Writes one table from entries in ascending (hash, key) order, without holding all of them.
///
/// An entry passes the checks of order, value class and hash first. Its value then goes to the open
/// value block or to a block of its own. Its key waits in a queue until the index of its value
/// block is known; then its key block is encoded, compressed and written.
///
/// All checks are made before anything changes, so a refused entry leaves the writer unchanged.
/// After an error of the output the writer is poisoned. If a writer of a file is dropped before
/// [`StreamingSstWriter::finish`], no file stays.
///
/// # Memory
///
/// Highest use in bytes, besides the memory of the filter (4 per entry for a quotient filter):
///
/// | bytes | for |
/// |---|---|
/// | 52 per block | its end, header and index entry, and spare capacity of vectors |
/// | 8 per reference to a blob | its number, and spare capacity |
/// | 2 MiB | pending entries, and one key block of the default size |
/// | 1 MiB | buffers |
/// | 3 × the size of value blocks | the open one, and its compressed form |
/// | 5 × the size of key blocks | the entries of the open one, its bytes and its compressed form |
/// | 2 × the longest medium value | its compressed form |
/// | 6 × the longest run of equal hashes | keys and 40 bytes per entry, which make one key block |
///
/// # Examples
///
/// ```
/// use sst_writer::{StreamingSstWriter, WriterOptions};
/// use sst_writer::table::hash_key;
///
/// let mut rows = vec![("apple", "red"), ("pear", "green"), ("plum", "a dark kind of blue")];
/// rows.sort_by_key(|(key, _)| (hash_key(key.as_bytes()), *key));
/// let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
/// for row in &rows {
///     writer.add(row)?;
/// }
/// let finished = writer.finish()?;
/// assert_eq!(finished.meta.file_size, finished.output.len() as u64);
/// # Ok::<(), sst_writer::WriteError>(())
/// ```
pub struct StreamingSstWriter<S: Sink> {
    /// The key of the current entry. It is written here first, so that a misbehaving entry does no
    /// harm.
    key: Vec<u8>,
    table: TableBuilder<S>,
}

impl StreamingSstWriter<AtomicFile> {
    /// Starts a table in a new file, which appears under its name when the table is finished.
    ///
    /// # Errors
    ///
    /// [`WriteError::Exists`] if there is such a file already, [`WriteError::Io`] if the directory
    /// is missing or not writable.
    pub fn create(path: impl AsRef<Path>, options: WriterOptions) -> Result<Self, WriteError> {
        let file = AtomicFile::create(path)?;
        Ok(Self::in_file(file, options))
    }

    /// Starts a table in a file that was just created, for example with [`AtomicFile::create_in`].
    #[must_use]
    pub fn in_file(file: AtomicFile, options: WriterOptions) -> Self {
        let path = file.path().to_owned();
        let blocks = BlockWriter::new(file, Some(path), &options, ENCODABLE);
        Self::with_blocks(blocks, &options)
    }
}

impl<S: Sink> StreamingSstWriter<S> {
    /// Starts a table in any sink.
    #[must_use]
    pub fn new(sink: S, options: WriterOptions) -> Self {
        Self::with_capacity(sink, options, ENCODABLE)
    }

    pub(crate) fn with_capacity(sink: S, options: WriterOptions, capacity: Capacity) -> Self {
        Self::with_blocks(BlockWriter::new(sink, None, &options, capacity), &options)
    }

    fn with_blocks(blocks: BlockWriter<S>, options: &WriterOptions) -> Self {
        Self { key: Vec::new(), table: TableBuilder::new(blocks, options) }
    }

    /// Adds the next entry, in ascending (hash, key) order.
    ///
    /// Amortized O(length of key and value).
    ///
    /// # Errors
    ///
    /// [`WriteError`], whose groups say whether the writer can go on. Every error but one of the
    /// output is found before anything changes.
    pub fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        let (key, value) = stated_key(&self.table, &mut self.key, &entry)?;
        self.table.add(key, value)
    }

    /// Adds the next entry if the table has room for it: not if
    /// [`StreamingSstWriter::has_room_for`] denies that, nor if the table is close to the highest
    /// number of blocks. Returns whether it did. Nothing has changed if it did not.
    ///
    /// For writers of many tables: it takes as long as [`StreamingSstWriter::add`], which the two
    /// questions do not.
    ///
    /// # Errors
    ///
    /// As [`StreamingSstWriter::add`].
    pub fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError> {
        let (key, value) = stated_key(&self.table, &mut self.key, &entry)?;
        self.table.add_if_room(key, value)
    }

    /// Number of entries added.
    #[must_use]
    pub const fn entry_count(&self) -> u64 {
        self.table.entry_count()
    }

    /// The key of the last entry. There must be one.
    ///
    /// # Errors
    ///
    /// [`WriteError::Internal`] if there is no entry.
    pub fn last_key(&self) -> Result<&[u8], WriteError> {
        self.table.last_key()
    }

    /// Whether it is time to finish this table and start the next one. O(1).
    ///
    /// That is so if it has `max_entries` entries, if it could take `max_data_size` bytes, or if it
    /// is close to the highest number of blocks of a table. The estimate of the bytes assumes that
    /// pending data does not compress. `u64::MAX` means no limit.
    #[must_use]
    pub fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        self.table.is_full(max_entries, max_data_size)
    }

    /// Whether the table has blocks and bytes left for the entry, even if its value does not
    /// compress. Does not check the order. O(1).
    #[must_use]
    pub fn has_room_for(&self, entry: &impl Entry) -> bool {
        let (hash, key_len) = match entry.hashed_key() {
            Some(key) => (key.hash(), key.key().len()),
            None => (entry.key_hash(), entry.key_len()),
        };
        self.table.has_room_for(hash, key_len, entry.value())
    }

    /// Writes all pending blocks, the index block and the offset table, and ends the output.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoEntries`], or an error of the output or the filter. No file stays then.
    pub fn finish(self) -> Result<Finished<S::Output>, WriteError> {
        self.table.finish()
    }
}

impl<S: Sink> fmt::Debug for StreamingSstWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingSstWriter")
            .field("path", &self.table.path())
            .field("entry_count", &self.table.entry_count())
            .field("is_poisoned", &self.table.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// Key and value of an entry. All code of the caller runs here, before anything changes, because it
/// may panic.
#[inline(always)]
fn stated_key<'e, S: Sink>(
    table: &TableBuilder<S>,
    buffer: &'e mut Vec<u8>,
    entry: &'e impl Entry,
) -> Result<(StatedKey<'e>, EntryValue<'e>), WriteError> {
    if table.is_poisoned() {
        return Err(WriteError::Poisoned);
    }
    let value = entry.value();
    if let Some(key) = entry.hashed_key() {
        return Ok((StatedKey { hash: key.hash(), key: key.key(), is_proven: true }, value));
    }
    let hash = entry.key_hash();
    let key = match entry.key_in_memory() {
        Some(key) => key,
        None => written_key(buffer, entry, table.entry_count())?,
    };
    Ok((StatedKey { hash, key, is_proven: false }, value))
}

/// Writes the key of entry `number` to `buffer`, and checks its length.
fn written_key<'b>(
    buffer: &'b mut Vec<u8>,
    entry: &impl Entry,
    number: u64,
) -> Result<&'b [u8], WriteError> {
    let stated = entry.key_len();
    if stated > MAX_KEY_LEN {
        return Err(WriteError::KeyTooLong { entry: number, len: stated });
    }
    buffer.clear();
    WriteError::try_reserve(buffer, stated)?;
    entry.write_key_to(buffer);
    match buffer.len() {
        written if written == stated => Ok(buffer),
        written => Err(WriteError::KeyLenMismatch { entry: number, stated, written }),
    }
}

/// Writes a table from entries in memory, in ascending (hash, key) order, to a new file.
///
/// # Errors
///
/// As [`StreamingSstWriter`]. No file stays then.
pub fn write_static_sorted_file<E: Entry>(
    entries: &[E],
    path: impl AsRef<Path>,
    options: WriterOptions,
) -> Result<Finished<()>, WriteError> {
    let mut writer = StreamingSstWriter::create(path, options)?;
    entries.iter().try_for_each(|entry| writer.add(entry))?;
    writer.finish()
}

#[cfg(test)]
mod tests;
