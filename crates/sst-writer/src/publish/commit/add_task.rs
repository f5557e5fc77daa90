//! Tables that tasks have written under claims become part of a commit.

use std::io;

use sst_format::SequenceNumber;
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;

use super::{Commit, PreparedCommit};
use crate::publish::FragmentOverlap;
use crate::publish::task::TaskReport;
use crate::{FileError, FileOperation, PublishError, StoredFile};

impl Commit<'_> {
    /// Adds the tables and blobs that one attempt of a task has written into this directory
    /// ([`TaskWriter`](crate::publish::TaskWriter)). They count as added after the tables before
    /// them, in their own order.
    ///
    /// Checked are the claims of the task, that each file has the reported length, and that a blob
    /// begins with the reported header. No table is read: a task can compare what it has written
    /// with what it put in, and the commit can be read back by `sst_merge::certify`.
    ///
    /// `overlap` says how a task is treated whose hashes overlap those of a task added before. The
    /// tables of one task may overlap each other. After an error nothing of the task is added. A
    /// commit that is dropped, or fails, leaves the files of its tasks where they are. O(n log n)
    /// in the number of files.
    ///
    /// # Errors
    ///
    /// [`PublishError::ClaimLost`] if a claim has ended or is another's;
    /// [`PublishError::NotClaimed`]; [`PublishError::TaskFile`];
    /// [`PublishError::TasksOverlap`]; [`PublishError::ForeignTable`] if a table was added before;
    /// [`PublishError::UnknownBlob`]; [`PublishError::WrongFamily`]; [`PublishError::File`].
    ///
    /// # Examples
    ///
    /// See [`TaskWriter`](crate::publish::TaskWriter).
    pub fn add_task(
        &mut self,
        report: &TaskReport,
        overlap: FragmentOverlap,
    ) -> Result<(), PublishError> {
        self.check_usable()?;
        report.check(self.change.family())?;
        let mut tables = report.tables.iter().map(|table| table.sequence);
        if let Some(table) = tables.find(|table| self.tables.contains(*table)) {
            return Err(PublishError::ForeignTable { table });
        }
        let files = &self.files;
        let checked = self.tasks.checked(report, &files.file_system, &files.directory, overlap)?;
        for table in &report.tables {
            let name = FileName { sequence: table.sequence, kind: FileKind::Sst };
            self.check_task_file(name, table.meta.file_size)?;
        }
        for blob in &report.blobs {
            self.check_task_blob(blob)?;
        }
        self.tasks.add(report, checked);
        for blob in &report.blobs {
            self.files.add_blob_of_task(*blob);
        }
        for table in &report.tables {
            let blobs = table.blobs.clone();
            self.tables.add_of_task(table.sequence, table.meta.clone(), blobs);
        }
        // The meta files have numbers above all that the task has claimed.
        self.files.number_above(self.tasks.tables().highest());
        Ok(())
    }

    /// Opens a file of a task, which must have this length.
    fn check_task_file(
        &self,
        name: FileName,
        expected: u64,
    ) -> Result<Box<dyn StoredFile>, PublishError> {
        let path = self.files.path(name);
        let error = |error| FileError::at(&path, FileOperation::Read)(error);
        let file = match self.files.file_system.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PublishError::TaskFile { path, expected, found: None });
            }
            file => file.map_err(error)?,
        };
        let found = file.file_size().map_err(error)?;
        if found != expected {
            return Err(PublishError::TaskFile { path, expected, found: Some(found) });
        }
        Ok(file)
    }

    /// Checks the length and the header of a blob of a task.
    fn check_task_blob(&self, blob: &BlobRecord) -> Result<(), PublishError> {
        let name = FileName { sequence: SequenceNumber(blob.number.0), kind: FileKind::Blob };
        let file = self.check_task_file(name, blob.file_size)?;
        let path = self.files.path(name);
        let mut header = [0; BLOCK_HEADER_LEN];
        file.read_exact_at(&mut header, 0).map_err(FileError::at(&path, FileOperation::Read))?;
        match header == blob.header.to_bytes() {
            true => Ok(()),
            false => Err(PublishError::NotTheListedBlob { path }),
        }
    }
}

impl PreparedCommit<'_> {
    /// Certifies the commit by the digests that its tasks have reported: no table is read. Returns
    /// whether that was possible. It is not, and the commit is published without a certificate, if
    /// a task has not read its tables back, if tasks overlap, if the commit has tables that no task
    /// has written, or if earlier tables of the family stay live: then entries may hide each other,
    /// and the caller can sum digests of ranges for [`PreparedCommit::certify`].
    #[must_use = "a commit without a certificate is published all the same"]
    pub fn certify_tasks(&mut self) -> bool {
        let family = self.commit.change.family();
        let replaces_all = self.base_state.state.live_tables().all(|(of, _)| of != family);
        let are_of_tasks = self.commit.tasks.tables().count() == self.commit.tables().len();
        match self.commit.tasks.tables().content() {
            Some(content) if replaces_all && are_of_tasks => {
                self.certify(content);
                true
            }
            _ => false,
        }
    }
}
