//! A bulk load to a place that is no directory of the file system.

use std::path::PathBuf;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;

use super::bulk_error::BulkError;
use super::bulk_handle::BulkHandle;
use super::bulk_loader::{BulkSummary, Load, WrittenLoad};
use super::bulk_options::BulkOptions;
use super::load_file::LoadedFile;
use super::unnumbered_blobs::UnnumberedBlob;
use crate::file::{OsFileSystem, RemoteOutput};
use crate::invariant::BrokenInvariant;
use crate::publish::TaskTable;
use crate::{Compression, Finished, Monitor, Phase};

/// The rule that a load keeps to one kind of place.
const REMOTE: &str = "all files of a load are where it streams them";

/// A [`BulkLoader`](crate::BulkLoader) whose tables and blobs go to a place that is no directory of
/// the file system, while they are written: see [`RemoteOutput`]. Nothing of them is kept on this
/// machine. Only records that do not fit into the budget, and a blob that is being put, are in
/// temporary files, in [`BulkOptions::temp_dir`] or among those of the system.
///
/// The loader publishes nothing: it describes what it has written. A blob has its number from the
/// place, so the bytes of tables that refer to blobs depend on the order in which threads put them.
#[derive(Debug)]
pub struct RemoteLoader {
    load: Load,
}

/// A load whose tables and blobs are all written.
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteLoad {
    /// Its figures. It has no commit.
    pub summary: BulkSummary,
    /// Its tables, in the order of their hashes.
    pub tables: Vec<TaskTable>,
    /// The blobs to which they refer, in the order of their input positions.
    pub blobs: Vec<BlobRecord>,
    /// Blobs to which no table refers, because a later record has replaced theirs: they can be
    /// removed.
    pub unused: Vec<FileName>,
}

impl RemoteLoader {
    /// Starts a load. `monitor` observes and cancels it to its end. [`BulkOptions::mode`] and
    /// [`BulkOptions::family`] are up to the caller, who publishes the load.
    ///
    /// # Errors
    ///
    /// [`BulkError::File`] if [`BulkOptions::temp_dir`] cannot be used.
    pub fn new(
        output: Arc<dyn RemoteOutput>,
        options: BulkOptions,
        blob_compression: Compression,
        monitor: &Monitor,
    ) -> Result<Self, BulkError> {
        let directory: PathBuf = options.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
        let options = BulkOptions { temp_dir: None, ..options };
        let load = Load::to(
            options,
            monitor.clone(),
            directory.into(),
            Arc::new(OsFileSystem),
            blob_compression,
            Some(output),
        )?;
        Ok(Self { load })
    }

    /// As [`BulkLoader::handle`](crate::BulkLoader::handle).
    #[must_use]
    pub fn handle(&self, stream: u64) -> BulkHandle {
        self.load.handle(stream)
    }

    /// Sorts the records, and writes them to tables.
    ///
    /// # Errors
    ///
    /// [`BulkError`]. Files that were complete before stay where they are.
    pub fn finish(self) -> Result<RemoteLoad, BulkError> {
        let reserve = || Err(BrokenInvariant::new(REMOTE).into());
        let WrittenLoad { shared, tables, used, blobs, summary, totals } =
            self.load.write(reserve)?;
        shared.report(Phase::Publish, totals, Some(totals));
        let mut load =
            RemoteLoad { summary, tables: Vec::new(), blobs: Vec::new(), unused: Vec::new() };
        for (_, number, UnnumberedBlob { blob, .. }) in blobs {
            if used.contains(&number) {
                load.summary.file_bytes += blob.file_size;
                let (file_size, header) = (blob.file_size, blob.header);
                load.blobs.push(BlobRecord { number, file_size, header });
            } else {
                let sequence = SequenceNumber(number.0);
                load.unused.push(FileName { sequence, kind: FileKind::Blob });
            }
        }
        for Finished { meta, blobs, digest, output } in tables {
            let LoadedFile::Remote(sequence) = output else {
                return Err(BrokenInvariant::new(REMOTE).into());
            };
            load.tables.push(TaskTable { sequence, meta, blobs, digest });
        }
        Ok(load)
    }
}
