//! Files that were written before they had a name become part of a commit.

use std::path::{Path, PathBuf};

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::FileKind;
use sst_format::{BlobNumber, SequenceNumber};

use super::Commit;
use crate::file::staged_file::StagedFile;
use crate::{BlobFile, FileError, FileOperation, Finished, PublishError};

/// The number of a blob that is not there yet.
#[derive(Debug)]
pub(crate) struct ReservedBlob {
    pub(crate) number: BlobNumber,
    path: PathBuf,
}

impl Commit<'_> {
    /// Reserves the next number for a blob.
    pub(crate) fn reserve_blob(&self) -> Result<ReservedBlob, PublishError> {
        self.publisher.check_usable()?;
        let (sequence, path) = self.context.allocate(FileKind::Blob)?;
        Ok(ReservedBlob { number: BlobNumber(sequence.0), path })
    }

    /// Makes a durable file the blob of a reserved number.
    pub(crate) fn adopt_blob(
        &self,
        reserved: &ReservedBlob,
        file: StagedFile,
        blob: BlobFile,
        digest: Option<ValueDigest>,
    ) -> Result<(), PublishError> {
        file.persist_as(&reserved.path)?;
        self.add_blob(SequenceNumber(reserved.number.0), blob, digest);
        Ok(())
    }

    /// Gives a durable table the next number and adds it, as [`Commit::add_table`] does.
    pub(crate) fn adopt_table(&mut self, table: Finished<StagedFile>) -> Result<(), PublishError> {
        self.publisher.check_usable()?;
        let (sequence, path) = self.context.allocate(FileKind::Sst)?;
        let Finished { meta, blobs, digest, output } = table;
        output.persist_as(&path)?;
        self.push_table(sequence, Finished { meta, blobs, digest, output: () });
        Ok(())
    }

    /// Makes the names of all adopted files durable.
    pub(crate) fn sync_names(&self) -> Result<(), FileError> {
        let directory: &Path = &self.context.directory;
        self.context
            .file_system
            .sync_directory(directory)
            .map_err(FileError::at(directory, FileOperation::SyncDirectory))
    }
}
