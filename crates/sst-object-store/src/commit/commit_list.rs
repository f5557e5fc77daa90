//! The commits of a bucket whose meta files are still there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use sst_format::file_name::{FileKind, FileName};
use sst_format::{CommitRecord, SequenceNumber};

use super::RemoteCommit;
use crate::{Store, StoreError};

/// The files of a place with a number, and when each was written last.
pub(crate) type NumberedFiles = BTreeMap<FileName, SystemTime>;

/// Lists the commits of a place, newest first. Of a place without lists, such as one behind HTTP,
/// only the newest.
///
/// # Errors
///
/// As [`RemoteCommit::read`]; [`StoreError::NoCommit`]. Older commits that are damaged are left
/// out.
pub async fn list_commits(store: &Store) -> Result<Vec<CommitRecord>, StoreError> {
    let newest = RemoteCommit::read(store).await?;
    let newest = newest.ok_or_else(|| StoreError::NoCommit { place: store.name().to_owned() })?;
    let files = if store.has_lists() { Some(numbered_files(store).await?) } else { None };
    let current = CommitRecord { is_current: true, ..record_of(&newest, files.as_ref()) };
    let mut commits = vec![current];
    let Some(files) = files else { return Ok(commits) };
    for sequence in older_commits(&newest, &files) {
        match RemoteCommit::read_at(store, sequence).await {
            Ok(commit) => commits.push(record_of(&commit, Some(&files))),
            // A damaged commit, or a meta file that is only a part of one, is no generation.
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(commits)
}

fn record_of(commit: &RemoteCommit, files: Option<&NumberedFiles>) -> CommitRecord {
    let meta = FileName { sequence: commit.sequence(), kind: FileKind::Meta };
    let modified = files.and_then(|files| files.get(&meta));
    let blobs: u64 = commit.blobs().iter().map(|blob| blob.file_size).sum();
    let tables: u64 = commit.tables().map(|(_, table)| table.file_size).sum();
    CommitRecord {
        sequence: commit.sequence(),
        // A time before 1970 is that of a wrong clock, and told as none.
        time: modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()),
        kind: commit.kind(),
        is_current: false,
        is_complete: files.is_none_or(|files| is_complete(commit, files)),
        tables: commit.tables().count() as u64,
        entries: commit.entries(),
        bytes: tables + blobs,
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
