//! Adoption: files that were written before they had a name become part of a commit. Their contents
//! are durable; their names become durable with the commit.

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::{FileKind, FileName};
use sst_format::{BlobNumber, SequenceNumber};

use super::Commit;
use crate::file::staged_file::StagedFile;
use crate::{BlobFile, Finished, PublishError};

impl Commit<'_> {
    /// Reserves the next number for a blob.
    pub(crate) fn reserve_blob(&self) -> Result<BlobNumber, PublishError> {
        self.publisher.check_usable()?;
        let (name, _) = self.files.allocate(FileKind::Blob)?;
        Ok(BlobNumber(name.sequence.0))
    }

    /// Makes a durable file the blob with a reserved number.
    pub(crate) fn adopt_blob(
        &self,
        number: BlobNumber,
        file: StagedFile,
        blob: BlobFile,
        digest: Option<ValueDigest>,
    ) -> Result<(), PublishError> {
        let name = FileName { sequence: SequenceNumber(number.0), kind: FileKind::Blob };
        let persisted = file.persist_as(&self.files.path(name));
        self.files.note_created(name, persisted)?;
        self.files.add_blob(number, blob, digest);
        Ok(())
    }

    /// Gives a durable table the next number, and adds it as [`Commit::add_table`] does.
    pub(crate) fn adopt_table(&mut self, table: Finished<StagedFile>) -> Result<(), PublishError> {
        self.publisher.check_usable()?;
        let (name, path) = self.files.allocate(FileKind::Sst)?;
        let Finished { meta, blobs, digest, output } = table;
        self.files.note_created(name, output.persist_as(&path))?;
        self.tables.add_written(name.sequence, Finished { meta, blobs, digest, output: () });
        Ok(())
    }
}
