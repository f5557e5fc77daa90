//! The commits of a bucket whose meta files are still there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;

use super::RemoteCommit;
use crate::{Store, StoreError};

/// A commit whose meta file is still in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectCommitRecord {
    /// The sequence number of its newest meta file.
    pub sequence: SequenceNumber,
    /// The time of the last write to that meta file; `None` if the place has no lists.
    pub time: Option<SystemTime>,
    /// The kind of the commit; `None` for commits of older builds, which do not store it. A merge
    /// is no generation of its own: it and the commit before are one.
    pub kind: Option<CommitKind>,
    /// Whether it is the newest commit.
    pub is_current: bool,
    /// Whether all its files are there, so that a rollback to it is possible. Of a place without
    /// lists only the newest commit is known, and that its files are there is not looked at.
    pub is_complete: bool,
    /// Number of live tables of all families.
    pub tables: u64,
    /// Number of entries in these tables, tombstones and entries hidden by newer ones included.
    pub entries: u64,
    /// Bytes of all tables and blob files.
    pub bytes: u64,
}

/// The files of a place with a number, and when each was written last.
pub(crate) type NumberedFiles = BTreeMap<FileName, SystemTime>;

impl ObjectCommitRecord {
    /// Lists the commits of a place, newest first. Of a place without lists, such as one behind
    /// HTTP, only the newest.
    ///
    /// # Errors
    ///
    /// As [`RemoteCommit::read`]; [`StoreError::NoCommit`]. Older commits that are damaged are left
    /// out.
    pub async fn list(store: &Store) -> Result<Vec<Self>, StoreError> {
        let newest = RemoteCommit::read(store).await?;
        let newest =
            newest.ok_or_else(|| StoreError::NoCommit { place: store.name().to_owned() })?;
        if !store.has_lists() {
            return Ok(vec![Self { is_current: true, ..Self::of(&newest, None) }]);
        }
        let files = numbered_files(store).await?;
        let mut generations = vec![Self { is_current: true, ..Self::of(&newest, Some(&files)) }];
        for sequence in older_commits(&newest, &files) {
            match RemoteCommit::read_at(store, sequence).await {
                Ok(commit) => generations.push(Self::of(&commit, Some(&files))),
                // A damaged commit, or a meta file that is only a part of one, is no generation.
                Err(error) if error.is_corruption() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(generations)
    }

    fn of(commit: &RemoteCommit, files: Option<&NumberedFiles>) -> Self {
        let meta = FileName { sequence: commit.sequence(), kind: FileKind::Meta };
        let blobs: u64 = commit.blobs().iter().map(|blob| blob.file_size).sum();
        let tables: u64 = commit.tables().map(|(_, table)| table.file_size).sum();
        Self {
            sequence: commit.sequence(),
            time: files.and_then(|files| files.get(&meta).copied()),
            kind: commit.kind(),
            is_current: false,
            is_complete: files.is_none_or(|files| is_complete(commit, files)),
            tables: commit.tables().count() as u64,
            entries: commit.entries(),
            bytes: tables + blobs,
        }
    }

    /// Whether the commit only merged: see [`ObjectCommitRecord::kind`].
    #[must_use]
    pub const fn is_merge(&self) -> bool {
        matches!(self.kind, Some(CommitKind::Merge))
    }
}

/// Whether all files of a commit are there.
pub(crate) fn is_complete(commit: &RemoteCommit, files: &NumberedFiles) -> bool {
    commit.files().iter().all(|file| files.contains_key(&file.name))
}

/// The files of a place with a number.
pub(crate) async fn numbered_files(store: &Store) -> Result<NumberedFiles, StoreError> {
    let listed = store.list(None).await?.into_iter();
    let numbered = listed.filter_map(|object| Some((FileName::parse(&object.name)?, object)));
    Ok(numbered.map(|(name, object)| (name, object.modified)).collect())
}

/// The meta files that can be commits before another one, newest first: those that its lineage
/// names, and below the last of these all that are there. A writer that crashed has left meta files
/// of commits that never were; the lineage has none of them.
pub(crate) fn older_commits(newest: &RemoteCommit, files: &NumberedFiles) -> Vec<SequenceNumber> {
    let lineage: BTreeSet<_> = newest.lineage().commits().map(|commit| commit.sequence).collect();
    let first = lineage.first().copied().unwrap_or(newest.sequence());
    let metas = files.keys().rev().filter(|name| name.kind == FileKind::Meta);
    let older = metas.map(|name| name.sequence).filter(|meta| *meta < newest.sequence());
    older.filter(|meta| *meta < first || lineage.contains(meta)).collect()
}
