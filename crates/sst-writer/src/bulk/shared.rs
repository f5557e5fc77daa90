//! The state that the handles of a load share.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::content_digest::ValueDigest;
use sst_format::limits::MAX_MEDIUM_VALUE_LEN;
use sst_format::monitor::{Phase, Progress};

use super::blob_shelf::{BlobShelf, ShelvedBlob};
use super::budget::{Budget, Totals};
use super::bulk_error::BulkError;
use super::bulk_options::BulkOptions;
use super::chunk_store::ChunkStore;
use super::input_position::InputPosition;
use super::spill_file::{SpillFile, SpillSpace};
use crate::Compression;
use crate::blob::blob_file::write_blob;
use crate::file::staged_file::StagingFile;
use crate::file::{FileError, FileSystem};
use crate::table::entry_digester::sha256;

/// The state that the handles of a load share with its loader.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: BulkOptions,
    /// Values from this length on don't go into chunks, in bytes.
    pub(super) aside_len: usize,
    pub(super) store: ChunkStore,
    // Behind the store, whose files lie in it.
    space: SpillSpace,
    pub(super) blobs: BlobShelf,
    directory: Arc<Path>,
    file_system: Arc<dyn FileSystem>,
    blob_compression: Compression,
    has_failed: AtomicBool,
    handles: Mutex<Handles>,
}

/// The handles of a load, and what they have put.
#[derive(Debug, Default)]
struct Handles {
    started: u32,
    open: usize,
    /// Stream of a handle that was dropped before it was finished.
    lost: Option<u64>,
    totals: Totals,
}

impl Shared {
    pub(super) fn new(
        options: BulkOptions,
        directory: Arc<Path>,
        file_system: Arc<dyn FileSystem>,
        blob_compression: Compression,
    ) -> Result<Self, FileError> {
        let space = match &options.temp_dir {
            Some(parent) => SpillSpace::below(Arc::clone(&file_system), parent, &directory)?,
            None => SpillSpace::within(Arc::clone(&file_system), Arc::clone(&directory)),
        };
        let files = (0..options.threads.clamp(1, 64)).map(|_| space.file()).collect();
        let budget = Budget::new(options.memory_budget);
        Ok(Self {
            aside_len: budget.detached_len.min(blob_threshold(&options).saturating_add(1)),
            store: ChunkStore::new(budget, files),
            options,
            space,
            blobs: BlobShelf::default(),
            directory,
            file_system,
            blob_compression,
            has_failed: AtomicBool::new(false),
            handles: Mutex::default(),
        })
    }

    /// Values longer than this many bytes become blobs.
    pub(super) fn blob_threshold(&self) -> usize {
        blob_threshold(&self.options)
    }

    /// A spill file beside those of the store.
    pub(super) fn spill_file(&self) -> SpillFile {
        self.space.file()
    }

    /// A file for a table or a blob that has no number yet.
    pub(super) fn staging_file(&self) -> Result<StagingFile, FileError> {
        StagingFile::create(&*self.file_system, Arc::clone(&self.directory))
    }

    /// Writes a blob and returns the ticket it is known by.
    pub(super) fn write_blob(&self, place: InputPosition, value: &[u8]) -> Result<u64, BulkError> {
        let file = self.staging_file()?;
        let (blob, file) = write_blob(file, &self.directory, value, self.blob_compression)?;
        let digest = self.options.writer.digest.then(|| ValueDigest::of(value, sha256));
        Ok(self.blobs.add(ShelvedBlob { place, file, blob, digest }))
    }

    /// Fails if the load has failed or was called off.
    pub(super) fn check(&self) -> Result<(), BulkError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(BulkError::Failed);
        }
        Ok(self.options.monitor.check()?)
    }

    /// Remembers a failure, after which nothing that was put can be relied on.
    pub(super) fn guard<T>(&self, result: Result<T, BulkError>) -> Result<T, BulkError> {
        result.inspect_err(|_| self.has_failed.store(true, Ordering::Release))
    }

    /// Starts a handle, and tells the spill file it is to use.
    pub(super) fn start_handle(&self) -> u32 {
        let mut handles = self.lock();
        handles.open += 1;
        handles.started = handles.started.wrapping_add(1);
        handles.started % self.store.file_count().max(1)
    }

    /// Ends a handle. `lost` is its stream if it was not finished.
    pub(super) fn end_handle(&self, lost: Option<u64>) {
        let mut handles = self.lock();
        handles.open -= 1;
        handles.lost = handles.lost.or(lost);
    }

    /// Counts what was put, and tells of it.
    pub(super) fn count(&self, put: Totals) {
        let totals = {
            let mut handles = self.lock();
            handles.totals.records += put.records;
            handles.totals.bytes += put.bytes;
            handles.totals
        };
        self.report(Phase::Read, totals, None);
    }

    /// What was put in all.
    ///
    /// # Errors
    ///
    /// If it is not known, because handles are open or were lost.
    pub(super) fn totals(&self) -> Result<Totals, BulkError> {
        let handles = self.lock();
        match (handles.lost, handles.open) {
            (Some(stream), _) => Err(BulkError::HandleLost { stream }),
            (None, 0) => Ok(handles.totals),
            (None, open) => Err(BulkError::HandlesOpen { handles: open }),
        }
    }

    pub(super) fn report(&self, phase: Phase, done: Totals, all: Option<Totals>) {
        let progress = Progress::new(phase).entries(done.records).bytes(done.bytes);
        let (records, bytes) = (all.map(|all| all.records), all.map(|all| all.bytes));
        self.options.monitor.report(progress.total_entries(records).total_bytes(bytes));
    }

    fn lock(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blob_threshold(options: &BulkOptions) -> usize {
    options.blob_threshold.min(MAX_MEDIUM_VALUE_LEN)
}
