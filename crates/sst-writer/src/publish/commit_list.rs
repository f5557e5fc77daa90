//! The commits of a directory whose meta files are still there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sst_format::file_name::{FileKind, FileName};
use sst_format::{CommitRecord, SequenceNumber};

use crate::publish::directory_state::{DirectoryState, read_current};
use crate::publish::known_metas::KnownMetas;
use crate::publish::meta_state::meta_path;
use crate::{FileError, FileOperation, FileSystem, OsFileSystem, PublishError};

/// Lists the commits of a directory whose meta files are still there, newest first. O(bytes of the
/// heads of all meta files).
///
/// The directory is neither locked nor changed. A commit that another process makes meanwhile may
/// or may not be in the list.
///
/// # Errors
///
/// [`PublishError`] if `CURRENT` or the newest commit cannot be read, or was not written by this
/// crate. Older commits that cannot be read are left out.
pub fn list_commits(directory: impl AsRef<Path>) -> Result<Vec<CommitRecord>, PublishError> {
    list_commits_in(Arc::new(OsFileSystem), directory)
}

/// As [`list_commits`], with the caller's file system.
///
/// # Errors
///
/// As [`list_commits`].
pub fn list_commits_in(
    file_system: Arc<dyn FileSystem>,
    directory: impl AsRef<Path>,
) -> Result<Vec<CommitRecord>, PublishError> {
    let (file_system, directory) = (&*file_system, directory.as_ref());
    let Some(current) = read_current(file_system, directory)? else { return Ok(Vec::new()) };
    let files = numbered_files(file_system, directory)?;
    let mut known = KnownMetas::default();
    let mut load = |sequence| {
        let state = DirectoryState::load_with(&mut known, file_system, directory, sequence)?;
        // The time is for people. A commit without it can still be listed and rolled back to.
        let modified = file_system.modified(&meta_path(directory, sequence)).ok();
        let time = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(record_of(&state, sequence, time, &files))
    };
    let newest = load(current.sequence)?;
    let mut commits = vec![CommitRecord { is_current: true, ..newest }];
    for sequence in older_metas(&files, current.sequence) {
        match load(sequence) {
            Ok(commit) => commits.push(commit),
            // A damaged commit, or a meta file that is only a part of one, is no generation. A
            // commit that cannot be read now may be one.
            Err(error) => {
                if let Ok(error) = PublishError::into_transient(error) {
                    return Err(error.into());
                }
            }
        }
    }
    Ok(commits)
}

fn record_of(
    state: &DirectoryState,
    sequence: SequenceNumber,
    time: Option<Duration>,
    files: &BTreeSet<FileName>,
) -> CommitRecord {
    let blobs: u64 = state.blobs().map(|blob| blob.file_size).sum();
    let tables: u64 = state.live_tables().map(|(_, table)| table.file_size).sum();
    CommitRecord {
        sequence,
        time,
        kind: state.kind(),
        is_current: false,
        is_complete: state.files().is_subset(files),
        tables: state.live_tables().count() as u64,
        entries: state.live_entries(),
        bytes: tables + blobs,
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
