//! Bulk loading of records in any order into a directory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::FamilyCertificate;
use sst_format::{BlobNumber, SequenceNumber};

use super::budget::Totals;
use super::bulk_error::BulkError;
use super::bulk_handle::BulkHandle;
use super::bulk_options::{BulkMode, BulkOptions};
use super::load_file::LoadedFile;
use super::prepared_load::PreparedLoad;
use super::refused::RefusedRecord;
use super::resolver::DuplicateKey;
use super::shared::Shared;
use super::unnumbered_blobs::{BlobNumbers, UnnumberedBlob};
use super::write_phase::{LoadOutcome, WritePhase};
use crate::file::{FileError, RemoteOutput};
use crate::invariant::{BrokenInvariant, OrBroken};
use crate::{Commit, Compression, Entry, FileSystem, Finished, Monitor, Phase, Publisher};

/// Loads records in any order into a directory, from several threads.
///
/// The records are written to tables with disjoint ranges of hashes, which are published as one
/// commit. The input may be far larger than memory.
///
/// Records are put in through handles ([`BulkLoader::handle`]). [`BulkLoader::finish`] sorts them,
/// resolves duplicates, writes tables, several at a time, and publishes the commit. Readers see
/// nothing of it before. The directory stays unchanged if the load fails, panics or is cancelled,
/// or if the loader is dropped. Files that a killed process leaves are removed by the next
/// [`Publisher`] of the directory, or by the next load with the same [`BulkOptions::temp_dir`].
///
/// # The same input, the same files
///
/// The files depend on the records, their [`InputPosition`](crate::bulk::InputPosition)s and the
/// options about the content of tables. They do not depend on the budget, the number of threads, or
/// the order in which threads put their records. The caller must keep input positions the same:
/// give each input stream a number, and put its records in order or with their positions.
///
/// # Memory
///
/// A load takes at most its budget, and in addition:
///
/// | bytes | for |
/// |---|---|
/// | 8 MiB | fixed costs |
/// | 7 MiB per thread | buffers of a table being written, if the budget has no room for them |
/// | 3 × the size of value blocks and 5 × that of key blocks per thread | the same |
/// | 4 × the longest key, or value in a table, per thread | a value being written |
/// | 6 MiB per thread | when a blob is put, besides the value if the caller has it in memory |
/// | 5 per entry | filters until the commit is durable, if they exceed the budget |
/// | 1 chunk (1/2048 of the budget) per handle | if handles beyond the sixth find no room |
///
/// # Disk
///
/// Besides the tables: the records that do not fit into the budget, once, and 8 bytes for each of
/// them. A bucket that does not fit into the memory of a thread is written once more; with evenly
/// spread hashes that happens from an input of some hundred times the budget on. A blob of more
/// than 1 MiB is in temporary files while it is put: raw, and compressed if it is to be.
///
/// # Examples
///
/// ```
/// use sst_writer::{BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions};
///
/// let parent = tempfile::tempdir()?;
/// let mut publisher = Publisher::open(parent.path().join("db"), PublisherOptions::default())?;
/// let options = BulkOptions::default().memory_budget(64 << 20);
/// let loader = BulkLoader::new(&mut publisher, options, &Monitor::default())?;
/// std::thread::scope(|scope| {
///     let threads: Vec<_> = (0..2)
///         .map(|stream| {
///             let mut handle = loader.handle(stream);
///             scope.spawn(move || {
///                 for number in 0..1000_u64 {
///                     handle.put(&number.to_be_bytes(), format!("{stream}").as_bytes())?;
///                 }
///                 handle.finish()
///             })
///         })
///         .collect();
///     threads.into_iter().try_for_each(|thread| thread.join().unwrap())
/// })?;
/// let summary = loader.finish()?;
/// // For each key, the record of the higher stream is kept.
/// assert_eq!((summary.records, summary.entries, summary.duplicates), (2000, 1000, 1000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A single thread needs no handle:
///
/// ```
/// # use sst_writer::{BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions};
/// # let parent = tempfile::tempdir()?;
/// # let mut publisher = Publisher::open(parent.path().join("db"), PublisherOptions::default())?;
/// let monitor = Monitor::default();
/// let mut loader = BulkLoader::new(&mut publisher, BulkOptions::default(), &monitor)?;
/// loader.put("apple", "red")?;
/// loader.extend([("pear", "green"), ("plum", "blue")])?;
/// assert_eq!(loader.finish()?.entries, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A loader borrows its publisher. [`Publisher::into_loader`] gives one that owns it.
#[derive(Debug)]
pub struct BulkLoader<'p> {
    publisher: &'p mut Publisher,
    load: Load,
}

/// The records of a load.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    /// The handle of the loader itself, from its first record on.
    own: Option<BulkHandle>,
}

impl Load {
    pub(super) fn new(
        publisher: &Publisher,
        mut options: BulkOptions,
        monitor: Monitor,
    ) -> Result<Self, BulkError> {
        publisher.check_usable()?;
        options.writer.digest |= publisher.options().digest;
        let (directory, file_system) = (publisher.shared_directory(), publisher.file_system());
        let compression = publisher.options().blob_compression;
        Self::to(options, monitor, directory, file_system, compression, None)
    }

    /// A load into a directory, or with its temporary files there and its tables and blobs
    /// elsewhere.
    pub(super) fn to(
        options: BulkOptions,
        monitor: Monitor,
        directory: Arc<Path>,
        file_system: Arc<dyn FileSystem>,
        compression: Compression,
        output: Option<Arc<dyn RemoteOutput>>,
    ) -> Result<Self, BulkError> {
        let shared = Shared::new(options, monitor, directory, file_system, compression, output)?;
        Ok(Self { shared: Arc::new(shared), own: None })
    }

    pub(super) fn handle(&self, stream: u64) -> BulkHandle {
        BulkHandle::new(Arc::clone(&self.shared), stream)
    }

    pub(super) fn own_handle(&mut self) -> &mut BulkHandle {
        self.own.get_or_insert_with(|| BulkHandle::new(Arc::clone(&self.shared), 0))
    }

    /// See [`BulkLoader::prepare`].
    pub(super) fn prepare(self, publisher: &mut Publisher) -> Result<PreparedLoad<'_>, BulkError> {
        let mut commit = publisher.begin_family(self.shared.options.family);
        let written = self.write(|| Ok(commit.reserve_blob()?))?;
        let (shared, totals) = (Arc::clone(&written.shared), written.totals);
        shared.report(Phase::Publish, totals, Some(totals));
        let summary = adopt_files(&mut commit, written)?;
        let monitor = shared.monitor.clone();
        Ok(PreparedLoad { commit: commit.prepare()?, summary, monitor })
    }

    /// Sorts the records, and writes them to tables. `reserve` gives numbers to blobs that have
    /// none yet.
    pub(super) fn write(
        self,
        reserve: impl FnMut() -> Result<BlobNumber, BulkError>,
    ) -> Result<WrittenLoad, BulkError> {
        let Self { shared, own } = self;
        own.map_or(Ok(()), BulkHandle::finish)?;
        let totals = shared.totals()?;
        shared.check()?;
        let blobs = number_blobs(&shared, reserve)?;
        let numbers = blobs.iter().map(|(ticket, reserved, _)| (*ticket, *reserved));
        let numbers: BlobNumbers = numbers.collect();
        let mut outcome = WritePhase::new(&shared, totals, &numbers)?.run()?;
        if let Some(DuplicateKey { key, first, second }) = outcome.duplicate {
            return Err(BulkError::Duplicate { key, first, second });
        }
        if !shared.options.skip_refused && outcome.refused.count > 0 {
            let first = outcome.refused.first.drain(..).next();
            let RefusedRecord { input_position, source } =
                first.or_broken("of the records that were refused the first is kept")?;
            return Err(BulkError::Entry { input_position, source });
        }
        shared.check()?;
        WrittenLoad::new(shared, outcome, blobs, totals)
    }
}

/// A load whose tables and blobs are written, and not part of a commit yet.
pub(super) struct WrittenLoad {
    pub(super) shared: Arc<Shared>,
    pub(super) tables: Vec<Finished<LoadedFile>>,
    /// The blobs to which they refer.
    pub(super) used: BTreeSet<BlobNumber>,
    pub(super) blobs: Vec<NumberedBlob>,
    /// The figures, without the bytes of blobs.
    pub(super) summary: BulkSummary,
    pub(super) totals: Totals,
}

impl WrittenLoad {
    fn new(
        shared: Arc<Shared>,
        outcome: LoadOutcome,
        blobs: Vec<NumberedBlob>,
        totals: Totals,
    ) -> Result<Self, BulkError> {
        let LoadOutcome { written, left_out, refused, .. } = outcome;
        if written.entries + left_out + refused.count != totals.records {
            let rule = "each record of a load is written, a duplicate, or refused";
            return Err(BrokenInvariant::new(rule).into());
        }
        let tables = written.tables;
        let used: BTreeSet<BlobNumber> =
            tables.iter().flat_map(|table| &table.blobs).copied().collect();
        let summary = BulkSummary {
            commit: SequenceNumber::default(),
            certificates: Vec::new(),
            records: totals.records,
            record_bytes: totals.bytes,
            entries: written.entries,
            tombstones: written.tombstones,
            duplicates: left_out,
            refused: refused.count,
            first_refused: refused.first,
            tables: tables.len() as u64,
            blobs: used.len() as u64,
            file_bytes: tables.iter().map(|table| table.meta.file_size).sum(),
            spilled_bytes: shared.store.spilled_len(),
            not_removed: Vec::new(),
        };
        Ok(Self { shared, tables, used, blobs, summary, totals })
    }
}

/// The figures of a finished load.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkSummary {
    /// The commit's number: the sequence number of its newest meta file.
    pub commit: SequenceNumber,
    /// Certificates of families, ascending: see
    /// [`PreparedCommit::certify`](crate::publish::PreparedCommit::certify).
    pub certificates: Vec<FamilyCertificate>,
    /// Number of records that were put.
    pub records: u64,
    /// Bytes of the keys and values of these records.
    pub record_bytes: u64,
    /// Number of entries of all tables.
    pub entries: u64,
    /// Number of these entries that are tombstones.
    pub tombstones: u64,
    /// Number of records that were left out in favour of another record of their key.
    pub duplicates: u64,
    /// Number of records that no table could hold, if [`BulkOptions::skip_refused`] is set.
    pub refused: u64,
    /// The refused records with the lowest input positions, ascending, at most 10.
    pub first_refused: Vec<RefusedRecord>,
    /// Number of tables.
    pub tables: u64,
    /// Number of blob files.
    pub blobs: u64,
    /// Bytes of all tables and blob files.
    pub file_bytes: u64,
    /// Bytes that did not fit into the budget and were written to temporary files.
    pub spilled_bytes: u64,
    /// Files that belong to no commit any more but could not be removed. The next publisher tries
    /// again.
    pub not_removed: Vec<FileError>,
}

impl<'p> BulkLoader<'p> {
    /// Starts a load into the directory of a publisher. `monitor` observes and cancels it to its
    /// end.
    ///
    /// # Errors
    ///
    /// [`BulkError::File`] if [`BulkOptions::temp_dir`] cannot be used; [`BulkError::Publish`] if
    /// an earlier failure has poisoned the publisher.
    pub fn new(
        publisher: &'p mut Publisher,
        options: BulkOptions,
        monitor: &Monitor,
    ) -> Result<Self, BulkError> {
        let load = Load::new(publisher, options, monitor.clone())?;
        Ok(Self { publisher, load })
    }

    /// A handle through which a thread puts records.
    ///
    /// If two records have the same key, the one of the higher stream is the later one; within a
    /// stream, their positions decide.
    #[must_use]
    pub fn handle(&self, stream: u64) -> BulkHandle {
        self.load.handle(stream)
    }

    /// Puts a record, through a handle of the loader's own: that of stream 0.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.load.own_handle().put(key, value)
    }

    /// Puts a record that deletes its key, as [`BulkLoader::put`] does.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.load.own_handle().delete(key)
    }

    /// Puts entries, as [`BulkLoader::put`] does: pairs of key and value, or types that implement
    /// [`Entry`].
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put_entry`].
    pub fn extend<E: Entry>(
        &mut self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<(), BulkError> {
        self.load.own_handle().extend(entries)
    }

    /// Sorts the records, writes them to tables and publishes the commit.
    ///
    /// This is [`BulkLoader::prepare`] followed by [`PreparedLoad::publish`]. A load without
    /// records publishes a commit without tables.
    ///
    /// # Errors
    ///
    /// [`BulkError`]; readers still see the commit before.
    /// [`PreparedCommit::publish`](crate::publish::PreparedCommit::publish) documents the one
    /// exception.
    pub fn finish(self) -> Result<BulkSummary, BulkError> {
        self.prepare()?.publish()
    }

    /// Sorts the records and writes them to tables of a commit that is not visible yet.
    ///
    /// The caller can have the commit read back and certified before publishing it.
    ///
    /// # Errors
    ///
    /// [`BulkError`]; readers still see the commit before.
    pub fn prepare(self) -> Result<PreparedLoad<'p>, BulkError> {
        self.load.prepare(self.publisher)
    }
}

/// A blob of a load: its ticket, its number and its file.
type NumberedBlob = (u64, BlobNumber, UnnumberedBlob);

/// The rule that a load keeps to one kind of place.
const STAGED: &str = "all files of a load into a directory are staged there";

/// Numbers blobs in the order of their input positions.
fn number_blobs(
    shared: &Shared,
    mut reserve: impl FnMut() -> Result<BlobNumber, BulkError>,
) -> Result<Vec<NumberedBlob>, BulkError> {
    let number = |(ticket, blob): (u64, UnnumberedBlob)| {
        let number = match &blob.file {
            LoadedFile::Staged(_) => reserve()?,
            LoadedFile::Remote(number) => BlobNumber(number.0),
        };
        Ok((ticket, number, blob))
    };
    shared.blobs.take().into_iter().map(number).collect()
}

/// Renames all files to their final names, and adds them to the commit.
fn adopt_files(commit: &mut Commit<'_>, written: WrittenLoad) -> Result<BulkSummary, BulkError> {
    let WrittenLoad { shared, tables, used, blobs, mut summary, .. } = written;
    for (_, reserved, UnnumberedBlob { file, blob, digest, .. }) in blobs {
        if used.contains(&reserved) {
            let LoadedFile::Staged(file) = file else {
                return Err(BrokenInvariant::new(STAGED).into());
            };
            summary.file_bytes += blob.file_size;
            commit.adopt_blob(reserved, file, blob, digest)?;
        }
    }
    for Finished { meta, blobs, digest, output } in tables {
        let LoadedFile::Staged(output) = output else {
            return Err(BrokenInvariant::new(STAGED).into());
        };
        commit.adopt_table(Finished { meta, blobs, digest, output })?;
    }
    if shared.options.mode == BulkMode::Replace {
        commit.replace_all();
    }
    Ok(summary)
}
