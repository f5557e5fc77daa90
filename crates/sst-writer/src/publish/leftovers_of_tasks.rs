//! The removal of files that tasks have left under claims that have ended.

use std::collections::BTreeSet;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

use crate::file::directory::remove_file;
use crate::publish::claimed_blocks::ClaimedBlocks;
use crate::publish::commit_list::numbered_files;
use crate::publish::meta_state::{MetaState, meta_path};
use crate::publish::number_claim::JobId;
use crate::{FileError, FileOperation, FileSystem, PublishError, Publisher};

impl Publisher {
    /// Ends a job: the claims of all attempts of its tasks end, and the tables and blobs that they
    /// have written, and that no commit names, are removed. The driver calls it after the commit,
    /// or instead of one. For example, an executor was killed, and an attempt that was too slow has
    /// written the tables of another attempt once more.
    ///
    /// Temporary files of tasks that were killed go, too, unless another job is at work in the
    /// directory: nothing tells whose they are, so they go when that one ends.
    ///
    /// An attempt that still runs finds [`PublishError::ClaimLost`] at its next file. Returns the
    /// errors of files that could not be removed, or of meta files that could not be read to find
    /// out; then the claims stay, and the next publisher tries again. O(number of files).
    ///
    /// # Errors
    ///
    /// [`PublishError::Changed`], [`PublishError::LockLost`], [`PublishError::Poisoned`], and
    /// [`PublishError::File`] if claims cannot be read or ended.
    pub fn end_job(&mut self, job: JobId) -> Result<Vec<FileError>, PublishError> {
        self.check_usable()?;
        self.check_unchanged()?;
        self.end_claims_of(job)
    }
}

/// Removes tables and blobs under claims that have ended and that no meta file names, then these
/// claims. Returns the errors of those that could not be removed.
///
/// A meta file of a commit that a rollback may bring back counts as well, whether its files are
/// kept or not: they go with that commit.
pub(crate) fn remove_leftovers_of_tasks(
    file_system: &dyn FileSystem,
    directory: &Path,
    claims: &mut ClaimedBlocks,
) -> Result<Vec<FileError>, FileError> {
    if !claims.has_ended() {
        return Ok(Vec::new());
    }
    let present = numbered_files(file_system, directory)?;
    let is_content = |file: &&FileName| matches!(file.kind, FileKind::Sst | FileKind::Blob);
    let of_tasks = present.iter().filter(is_content);
    let of_tasks: Vec<_> =
        of_tasks.filter(|file| claims.ended_owner(file.sequence).is_some()).copied().collect();
    let mut not_removed = Vec::new();
    if !of_tasks.is_empty() {
        let named = match NamedFiles::read(file_system, directory, &present, claims) {
            Ok(named) => named,
            Err(error) => return Ok(vec![error]),
        };
        for file in of_tasks.iter().filter(|file| !named.contains(file, claims)) {
            let removed = remove_file(file_system, &directory.join(file.to_string()));
            not_removed.extend(removed.err());
        }
    }
    if not_removed.is_empty() {
        claims.remove_ended(file_system, directory)?;
    }
    Ok(not_removed)
}

/// The files that the meta files of a directory name, whether their commits are live or not.
#[derive(Debug, Default)]
struct NamedFiles {
    files: BTreeSet<FileName>,
    /// The owners of claims of which a meta file names a table. Their blobs stay: a meta file with
    /// right checksums may leave a blob out of its list, and the file may be the only copy of the
    /// value.
    owners: BTreeSet<Option<u64>>,
}

impl NamedFiles {
    /// Fails if a meta file is damaged, or cannot be read now: what it names is unknown.
    fn read(
        file_system: &dyn FileSystem,
        directory: &Path,
        present: &BTreeSet<FileName>,
        claims: &ClaimedBlocks,
    ) -> Result<Self, FileError> {
        let mut named = Self::default();
        for meta in present.iter().filter(|file| file.kind == FileKind::Meta) {
            let meta = match MetaState::load(file_system, directory, meta.sequence) {
                Ok(meta) => meta,
                Err(error) => {
                    let path = meta_path(directory, meta.sequence);
                    let damage = |error: PublishError| {
                        FileError::at(&path, FileOperation::Read)(error.into())
                    };
                    return Err(error.into_transient().unwrap_or_else(damage));
                }
            };
            let tables = meta.tables.iter().map(|table| table.record.sequence);
            for table in tables {
                named.files.insert(FileName { sequence: table, kind: FileKind::Sst });
                named.owners.extend(claims.ended_owner(table));
            }
            let blobs = meta.blobs.iter().map(|blob| SequenceNumber(blob.number.0));
            let blobs = blobs.map(|sequence| FileName { sequence, kind: FileKind::Blob });
            named.files.extend(blobs);
        }
        Ok(named)
    }

    fn contains(&self, file: &FileName, claims: &ClaimedBlocks) -> bool {
        let owner = claims.ended_owner(file.sequence);
        let is_of_named = || owner.is_some_and(|owner| self.owners.contains(&owner));
        self.files.contains(file) || (file.kind == FileKind::Blob && is_of_named())
    }
}
