//! A task reads back what it has written.

use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::ContentDigest;
use sst_format::file_name::FileName;
use sst_reader::Catalog;
use sst_writer::PublishError;
use sst_writer::file::{FileError, FileOperation, FileSystem, OsFileSystem};
use sst_writer::publish::TaskReport;

use super::certification::compare_digest;
use super::read_back::{ReadBack, Unpublished};
use crate::{MergeError, Monitor};

/// The files of a task, which are not part of a commit yet.
struct TaskFiles<'d> {
    directory: &'d Path,
    file_system: Arc<dyn FileSystem>,
}

impl Unpublished for TaskFiles<'_> {
    fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        let path = self.directory.join(file.to_string());
        let dropped = self.file_system.drop_cache(&path);
        dropped.map_err(|source| FileError { operation: FileOperation::Read, path, source }.into())
    }
}

/// Reads the tables and blobs of a task back from the device, verifies every byte of them, compares
/// each table with the digest of the entries that were put into it, and sets
/// [`TaskReport::content`], the digest of the live entries. Returns that digest.
///
/// The task calls this after
/// [`TaskWriter::finish`](sst_writer::publish::TaskWriter::finish), in its own process: so each
/// task reads its own files, and the driver reads none
/// ([`PreparedCommit::certify_tasks`](sst_writer::publish::PreparedCommit::certify_tasks)).
///
/// O(bytes of the task's tables), with two SHA-256 for each entry.
///
/// # Errors
///
/// [`MergeError::NoDigests`] without
/// [`TaskOptions::digest`](sst_writer::publish::TaskOptions::digest), or if the report was sent as
/// bytes before; [`MergeError::Content`] or [`MergeError::Read`] if the device does not hold what
/// was put in; [`MergeError::Cancelled`].
pub fn certify_task(
    directory: impl AsRef<Path>,
    report: &mut TaskReport,
    monitor: &Monitor,
) -> Result<ContentDigest, MergeError> {
    let directory = directory.as_ref();
    let files = TaskFiles { directory, file_system: Arc::new(OsFileSystem) };
    let tables: Vec<_> =
        report.tables.iter().map(|table| (table.sequence, table.meta.clone())).collect();
    let catalog = Catalog::empty(directory).followed_by(report.family, &tables, &[], &report.blobs);
    let mut read_back = ReadBack::new(catalog, report.family, &files, monitor);
    let content = read_back.read(tables.len())?;
    if content.newest.len() != report.tables.len() {
        return Err(MergeError::internal("reading a task back reads each of its tables"));
    }
    // The newest table was added last.
    for (found, put) in content.newest.iter().zip(report.tables.iter().rev()) {
        if found.sequence != put.sequence {
            return Err(MergeError::internal("reading a task back reads each of its tables"));
        }
        let digest = put.digest.as_ref().ok_or(MergeError::NoDigests)?;
        let value = |blob| report.blob_digest(blob).or_else(|| read_back.blob(blob));
        compare_digest(digest, value, found)?;
    }
    report.content = Some(content.live);
    Ok(content.live)
}
