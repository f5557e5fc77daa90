//! Earlier commits that keep their files, and for how long.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

use crate::publish::directory_state::DirectoryState;
use crate::publish::generation::older_metas;
use crate::publish::meta_state::meta_path;
use crate::{FileError, FileSystem, PublisherOptions};

/// A commit that was replaced by a newer one and keeps its files.
#[derive(Clone, Debug)]
struct Kept {
    /// Time of the commit that replaced it.
    replaced: SystemTime,
    /// Its files.
    files: BTreeSet<FileName>,
}

/// The commits before the newest whose files are still needed: by readers, for the grace period
/// after they were replaced, or to be rolled back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    /// Newest first.
    kept: Vec<Kept>,
    /// A commit must keep its files, and its meta file could not be read: no file may be removed.
    is_incomplete: bool,
}

impl Retention {
    /// Applies the options to the commits that a directory has files of. Damaged commits keep
    /// nothing. If the system failed to read one, its error is returned too, and no file may be
    /// removed.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
        current: SequenceNumber,
        files: &BTreeSet<FileName>,
        options: &PublisherOptions,
    ) -> (Self, Option<FileError>) {
        let mut retention = Self::default();
        let mut unread = None;
        let mut successor = current;
        for sequence in older_metas(files, current) {
            // Without a date the commit counts as replaced just now: files that stay too long do
            // less harm than files removed too early.
            let replaced = file_system
                .modified(&meta_path(directory, successor))
                .unwrap_or_else(|_| SystemTime::now());
            if !is_kept(retention.kept.len(), replaced, options) {
                break;
            }
            match DirectoryState::load_commit(file_system, directory, sequence) {
                Ok(state) => retention.kept.push(Kept { replaced, files: state.files() }),
                Err(error) => unread = error.into_io().ok().or(unread),
            }
            successor = sequence;
        }
        retention.is_incomplete = unread.is_some();
        (retention, unread)
    }

    /// Whether a commit must keep its files and could not be read.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Adds the commit that has just been replaced, and drops those whose time is over.
    pub(crate) fn push(&mut self, replaced: &DirectoryState, options: &PublisherOptions) {
        if replaced.current.is_some() {
            let mut files = replaced.files();
            // A `.del` file is about its own commit only.
            files.retain(|file| file.kind != FileKind::Del);
            self.kept.insert(0, Kept { replaced: SystemTime::now(), files });
        }
        // Older commits were replaced earlier, so behind the first whose time is over all are.
        let kept = self.kept.iter().enumerate();
        let count = kept.take_while(|(i, kept)| is_kept(*i, kept.replaced, options)).count();
        self.kept.truncate(count);
    }

    /// The files of all commits that are kept.
    pub(crate) fn files(&self) -> BTreeSet<FileName> {
        self.kept.iter().flat_map(|kept| &kept.files).copied().collect()
    }
}

/// Whether a commit keeps its files that was replaced at `replaced`, with `index` commits between
/// it and the newest.
fn is_kept(index: usize, replaced: SystemTime, options: &PublisherOptions) -> bool {
    // A date in the future means that the clock was set back. The age is then unknown, and 0 keeps
    // the files longest.
    let age = replaced.elapsed().unwrap_or(Duration::ZERO);
    index < options.keep_generations || age < options.grace
}
