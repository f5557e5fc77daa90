//! The state that the handles of a load share with its loader.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::FileKind;
use sst_format::limits::MAX_MEDIUM_VALUE_LEN;
use sst_format::monitor::{Phase, Progress};

use super::budget::{Budget, Totals};
use super::bulk_error::BulkError;
use super::bulk_options::BulkOptions;
use super::chunk_store::ChunkStore;
use super::input_position::InputPosition;
use super::load_file::LoadFile;
use super::spill_file::{SpillFile, SpillSpace};
use super::unnumbered_blobs::{UnnumberedBlob, UnnumberedBlobs};
use crate::blob::blob_file::write_blob;
use crate::file::staged_file::StagingFile;
use crate::file::{FileError, FileOperation, FileSystem, RemoteOutput};
use crate::table::entry_digester::sha256;
use crate::{Compression, Monitor, WriteError};

/// The state that the handles of a load share with its loader.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: BulkOptions,
    pub(super) monitor: Monitor,
    /// Length in bytes from which on a value is not stored in a chunk.
    pub(super) detached_len: usize,
    pub(super) store: ChunkStore,
    // Dropped after the store, whose files are in this folder.
    space: SpillSpace,
    pub(super) blobs: UnnumberedBlobs,
    directory: Arc<Path>,
    file_system: Arc<dyn FileSystem>,
    /// The place to which tables and blobs go while they are written; `None` if that is the
    /// directory.
    output: Option<Arc<dyn RemoteOutput>>,
    pub(super) blob_compression: Compression,
    has_failed: AtomicBool,
    handles: Mutex<Handles>,
}

/// The handles of a load, and the sums over their records.
#[derive(Debug, Default)]
struct Handles {
    started: u32,
    open: usize,
    /// Stream of a handle that was dropped before its `finish`.
    lost: Option<u64>,
    totals: Totals,
}

impl Shared {
    pub(super) fn new(
        options: BulkOptions,
        monitor: Monitor,
        directory: Arc<Path>,
        file_system: Arc<dyn FileSystem>,
        blob_compression: Compression,
        output: Option<Arc<dyn RemoteOutput>>,
    ) -> Result<Self, FileError> {
        let space = match &options.temp_dir {
            Some(parent) => SpillSpace::below(Arc::clone(&file_system), parent, &directory)?,
            None => SpillSpace::within(Arc::clone(&file_system), Arc::clone(&directory)),
        };
        let files = (0..options.threads.clamp(1, 64)).map(|_| space.file()).collect();
        let budget = Budget::new(options.memory_budget);
        Ok(Self {
            detached_len: budget.detached_len.min(blob_threshold(&options).saturating_add(1)),
            store: ChunkStore::new(budget, files),
            options,
            monitor,
            space,
            blobs: UnnumberedBlobs::default(),
            directory,
            file_system,
            output,
            blob_compression,
            has_failed: AtomicBool::new(false),
            handles: Mutex::default(),
        })
    }

    /// Length in bytes above which a value becomes a blob.
    pub(super) fn blob_threshold(&self) -> usize {
        blob_threshold(&self.options)
    }

    /// Another spill file, besides those of the store.
    pub(super) fn spill_file(&self) -> SpillFile {
        self.space.file()
    }

    /// The directory of the load.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts the file of a table or a blob. In a directory it has no number yet.
    pub(super) fn create(&self, kind: FileKind) -> Result<LoadFile, BulkError> {
        match &self.output {
            None => {
                let directory = Arc::clone(&self.directory);
                Ok(LoadFile::Staging(StagingFile::create(&*self.file_system, directory)?))
            }
            Some(output) => {
                let error = |error| WriteError::io(None, FileOperation::Create, error);
                let (number, file) = output.create(kind).map_err(error)?;
                Ok(LoadFile::Remote(number, file))
            }
        }
    }

    /// Writes a blob file with a value that is in memory, and returns the ticket of the blob.
    pub(super) fn write_blob(
        &self,
        input_position: InputPosition,
        value: &[u8],
    ) -> Result<u64, BulkError> {
        let file = self.create(FileKind::Blob)?;
        let (blob, file) = write_blob(file, &self.directory, value, self.blob_compression)?;
        let digest = self.options.writer.digest.then(|| ValueDigest::of(value, sha256));
        Ok(self.blobs.add(UnnumberedBlob { input_position, file, blob, digest }))
    }

    /// Fails if the load has failed or was cancelled.
    pub(super) fn check(&self) -> Result<(), BulkError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(BulkError::Failed);
        }
        Ok(self.monitor.check()?)
    }

    /// Marks the load as failed if `result` is an error, because the records may then be
    /// incomplete.
    pub(super) fn fail_load_on_error<T>(
        &self,
        result: Result<T, BulkError>,
    ) -> Result<T, BulkError> {
        result.inspect_err(|_| self.has_failed.store(true, Ordering::Release))
    }

    /// Starts a handle, and returns the number of its spill file.
    pub(super) fn start_handle(&self) -> u32 {
        let mut handles = self.lock();
        handles.open += 1;
        handles.started = handles.started.wrapping_add(1);
        handles.started % self.store.file_count().max(1)
    }

    /// Ends a handle. `lost` is its stream if `finish` was not called.
    pub(super) fn end_handle(&self, lost: Option<u64>) {
        let mut handles = self.lock();
        handles.open -= 1;
        handles.lost = handles.lost.or(lost);
    }

    /// Adds to the totals, and reports the progress.
    pub(super) fn count(&self, put: Totals) {
        let totals = {
            let mut handles = self.lock();
            handles.totals.records += put.records;
            handles.totals.bytes += put.bytes;
            handles.totals
        };
        self.report(Phase::Read, totals, None);
    }

    /// The totals over all records.
    ///
    /// # Errors
    ///
    /// [`BulkError`] if they are not known yet, because handles are open or were lost.
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
        self.monitor.report(progress.total_entries(records).total_bytes(bytes));
    }

    fn lock(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blob_threshold(options: &BulkOptions) -> usize {
    options.blob_threshold.min(MAX_MEDIUM_VALUE_LEN)
}
