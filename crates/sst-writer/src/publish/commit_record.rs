//! The commits of a directory whose meta files are still there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;

use crate::publish::directory_state::{DirectoryState, read_current};
use crate::publish::known_metas::KnownMetas;
use crate::publish::meta_state::meta_path;
use crate::{FileError, FileOperation, FileSystem, OsFileSystem, PublishError};

/// A commit whose meta file is still in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitRecord {
    /// The sequence number of its meta file.
    pub sequence: SequenceNumber,
    /// The time of the last write to its meta file; `None` if the system does not tell.
    pub time: Option<SystemTime>,
    /// The kind of the commit; `None` for commits of older builds, which do not store it. A merge
    /// is no generation of its own: [`Publisher::rollback`](crate::Publisher::rollback) without a
    /// target treats it and the commit before as one.
    pub kind: Option<CommitKind>,
    /// Whether it is the commit that readers see.
    pub is_current: bool,
    /// Whether all its files are there, so that a rollback to it is possible. A meta file may stay
    /// longer than the other files of its commit, as long as a newer commit uses some of its
    /// tables.
    pub is_complete: bool,
    /// Number of live tables of all families.
    pub tables: u64,
    /// Number of entries in these tables, tombstones and entries hidden by newer ones included.
    pub entries: u64,
    /// Bytes of all tables and blob files.
    pub bytes: u64,
}

impl CommitRecord {
    /// Whether the commit only merged. It and the commit before it in the list are one generation:
    /// [`Publisher::rollback`](crate::Publisher::rollback) without a target passes over both, and
    /// [`PublisherOptions::keep_generations`](crate::PublisherOptions::keep_generations) counts
    /// them once.
    #[must_use]
    pub const fn is_merge(&self) -> bool {
        matches!(self.kind, Some(CommitKind::Merge))
    }

    /// Lists the commits of a directory, newest first. O(bytes of the heads of all meta files).
    ///
    /// The directory is neither locked nor changed. A commit that another process makes meanwhile
    /// may or may not be in the list.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if `CURRENT` or the newest commit cannot be read, or was not written by
    /// this crate. Older commits that cannot be read are left out.
    pub fn list(directory: impl AsRef<Path>) -> Result<Vec<Self>, PublishError> {
        Self::list_in(Arc::new(OsFileSystem), directory)
    }

    /// As [`CommitRecord::list`], with the caller's file system.
    ///
    /// # Errors
    ///
    /// As [`CommitRecord::list`].
    pub fn list_in(
        file_system: Arc<dyn FileSystem>,
        directory: impl AsRef<Path>,
    ) -> Result<Vec<Self>, PublishError> {
        let (file_system, directory) = (&*file_system, directory.as_ref());
        let Some(current) = read_current(file_system, directory)? else { return Ok(Vec::new()) };
        let files = numbered_files(file_system, directory)?;
        let mut known = KnownMetas::default();
        let mut load =
            |sequence| DirectoryState::load_with(&mut known, file_system, directory, sequence);
        let newest = load(current.sequence)?;
        let mut generations =
            vec![Self::of(&newest, current.sequence, file_system, directory, &files)];
        for sequence in older_metas(&files, current.sequence) {
            match load(sequence) {
                Ok(state) => {
                    generations.push(Self::of(&state, sequence, file_system, directory, &files));
                }
                // A damaged commit, or a meta file that is only a part of one, is no generation. A
                // commit that cannot be read now may be one.
                Err(error) => {
                    if let Ok(error) = error.into_transient() {
                        return Err(error.into());
                    }
                }
            }
        }
        for (i, generation) in generations.iter_mut().enumerate() {
            generation.is_current = i == 0;
        }
        Ok(generations)
    }

    fn of(
        state: &DirectoryState,
        sequence: SequenceNumber,
        file_system: &dyn FileSystem,
        directory: &Path,
        files: &BTreeSet<FileName>,
    ) -> Self {
        let blobs: u64 = state.blobs().map(|blob| blob.file_size).sum();
        let tables: u64 = state.live_tables().map(|(_, table)| table.file_size).sum();
        Self {
            sequence,
            // The time is for people. A commit without it can still be listed and rolled back to.
            time: file_system.modified(&meta_path(directory, sequence)).ok(),
            kind: state.kind(),
            is_current: false,
            is_complete: state.files().is_subset(files),
            tables: state.live_tables().count() as u64,
            entries: state.live_entries(),
            bytes: tables + blobs,
        }
    }
}

/// Sequence numbers of the meta files that are older than commit `current`, newest first.
pub(crate) fn older_metas(
    files: &BTreeSet<FileName>,
    current: SequenceNumber,
) -> impl Iterator<Item = SequenceNumber> {
    let metas = files.iter().rev().filter(|file| file.kind == FileKind::Meta);
    metas.map(|file| file.sequence).filter(move |sequence| *sequence < current)
}

/// The files of a directory that have a sequence number. Names that are not of the format, or not
/// UTF-8, are left out.
pub(crate) fn numbered_files(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<BTreeSet<FileName>, FileError> {
    let names =
        file_system.list(directory).map_err(FileError::at(directory, FileOperation::List))?;
    Ok(names.iter().filter_map(|name| FileName::parse(name.to_str()?)).collect())
}
