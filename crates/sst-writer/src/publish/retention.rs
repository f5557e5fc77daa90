//! Which commits before the newest keep their files, and for how long.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

use crate::publish::directory_state::{DirectoryState, meta_path};
use crate::publish::generation::older_metas;
use crate::{FileError, FileSystem, PublisherOptions};

/// A commit that is not the newest any more, and whose files are still there.
#[derive(Clone, Debug)]
struct Kept {
    /// When the commit after it happened.
    replaced: SystemTime,
    /// Its files.
    files: BTreeSet<FileName>,
}

/// The commits before the newest whose files are still needed: by readers, for as long as the grace period gives them,
/// or to be rolled back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    /// Newest first.
    kept: Vec<Kept>,
    /// There is a commit whose files are needed and not known.
    is_incomplete: bool,
}

impl Retention {
    /// What the options say of the commits that a directory has files of. Damaged commits are not kept. Where the system
    /// could not read one, the error is returned too, and nothing can be said to be unneeded.
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
            // If nobody can say when, it is now: better too late than too early.
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

    /// Whether there is a commit whose files are needed and not known.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Adds the commit that has just been replaced, and lets go of those whose time has come.
    pub(crate) fn push(&mut self, replaced: &DirectoryState, options: &PublisherOptions) {
        if replaced.current.is_some() {
            let mut files = replaced.files();
            // What a `.del` file says is of its own commit only.
            files.retain(|file| file.kind != FileKind::Del);
            self.kept.insert(0, Kept { replaced: SystemTime::now(), files });
        }
        // From the first that is not kept on, none is: older ones were replaced earlier.
        let kept = self.kept.iter().enumerate();
        let count = kept.take_while(|(i, kept)| is_kept(*i, kept.replaced, options)).count();
        self.kept.truncate(count);
    }

    /// The files of all commits that are kept.
    pub(crate) fn files(&self) -> BTreeSet<FileName> {
        self.kept.iter().flat_map(|kept| &kept.files).copied().collect()
    }
}

/// Whether the commit that is `index` + 1 before the newest keeps its files.
fn is_kept(index: usize, replaced: SystemTime, options: &PublisherOptions) -> bool {
    // A commit from the future was replaced just now.
    let age = replaced.elapsed().unwrap_or(Duration::ZERO);
    index < options.keep_generations || age < options.grace
}
