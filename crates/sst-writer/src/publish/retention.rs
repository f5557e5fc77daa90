//! The earlier commits that keep their files, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

use crate::publish::commit_list::older_metas;
use crate::publish::directory_state::DirectoryState;
use crate::publish::known_metas::KnownMetas;
use crate::publish::meta_state::meta_path;
use crate::{FileError, FileOperation, FileSystem, PublishError, PublisherOptions};

/// A commit that was replaced by a newer one.
#[derive(Clone, Debug)]
struct Replaced {
    /// Time of the commit that replaced it.
    at: SystemTime,
    /// Number of generations between it and the newest commit; `None` if a merge replaced it. A
    /// merge has the same entries, so the two are one generation.
    rank: Option<usize>,
    /// Whether it keeps only its meta files.
    keeps_only_metas: bool,
    state: DirectoryState,
}

impl Replaced {
    /// Whether it keeps a file. A `.del` file concerns only its own commit, as long as that is the
    /// newest.
    fn keeps(&self, file: FileName) -> bool {
        match file.kind {
            FileKind::Del => false,
            FileKind::Meta => self.state.needs(file),
            FileKind::Sst | FileKind::Blob => !self.keeps_only_metas && self.state.needs(file),
        }
    }
}

/// The commits before the newest whose files are still needed: for readers, during the grace period
/// after the commit was replaced, or for a rollback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    /// Newest first. The last of them keeps all its files.
    replaced: Vec<Replaced>,
    /// A meta file of a commit that must keep its files is damaged or could not be read, so no file
    /// may be removed.
    is_incomplete: bool,
}

impl Retention {
    /// Applies the options to the commits of which a directory has files.
    ///
    /// If the meta files of a commit that is to be kept are damaged, or the system failed to read
    /// one, the files of that commit are unknown. The error is then returned too, and no file may
    /// be removed. This ends when as many newer commits are kept as the options say. A commit of
    /// which a meta file is gone keeps nothing: no rollback can bring it back.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
        newest: &DirectoryState,
        files: &BTreeSet<FileName>,
        options: &PublisherOptions,
        known: &mut KnownMetas,
    ) -> (Self, Option<FileError>) {
        let mut retention = Self::default();
        let mut unread = None;
        let Some(mut successor) = newest.current else { return (retention, unread) };
        let mut is_merged = newest.is_merge();
        let mut generations = 0;
        for sequence in older_metas(files, successor) {
            // Without a time, the commit counts as replaced just now: files that stay too long do
            // less harm than files removed too early.
            let at = file_system
                .modified(&meta_path(directory, successor))
                .unwrap_or_else(|_| SystemTime::now());
            if !is_kept(Some(generations), at, options) {
                break;
            }
            match DirectoryState::load_with(known, file_system, directory, sequence) {
                Ok(state) => {
                    let rank = (!is_merged).then_some(generations);
                    generations += usize::from(!is_merged);
                    is_merged = state.is_merge();
                    let keeps_only_metas = false;
                    retention.replaced.push(Replaced { at, rank, keeps_only_metas, state });
                }
                // A part belongs to a newer meta file, which lists its files.
                Err(PublishError::PartOfCommit { .. }) => continue,
                Err(error) => unread = must_be_known(directory, sequence, error).or(unread),
            }
            successor = sequence;
        }
        retention.is_incomplete = unread.is_some();
        retention.drop_expired(options);
        (retention, unread)
    }

    /// Drops the files of commits that need not be kept any longer.
    ///
    /// Between kept commits, the meta files of the others stay: the original's readers know no list
    /// of live meta files, and learn from them which tables of older ones are obsolete.
    fn drop_expired(&mut self, options: &PublisherOptions) {
        let is_kept = |replaced: &Replaced| is_kept(replaced.rank, replaced.at, options);
        let count = self.replaced.iter().rposition(is_kept).map_or(0, |last| last + 1);
        self.replaced.truncate(count);
        for replaced in self.replaced.iter_mut().filter(|replaced| !is_kept(replaced)) {
            replaced.keeps_only_metas = true;
        }
    }

    /// Every commit before `newest` of which all files are there, whatever the options say about
    /// their number. A commit that a merge has replaced is no generation, so that only the grace
    /// period of the options keeps its files.
    pub(crate) fn of_complete(
        file_system: &dyn FileSystem,
        directory: &Path,
        newest: &DirectoryState,
        files: &BTreeSet<FileName>,
        options: &PublisherOptions,
        known: &mut KnownMetas,
    ) -> (Self, Option<FileError>) {
        let options = options.clone().keep_generations(usize::MAX);
        let (mut retention, unread) =
            Self::load(file_system, directory, newest, files, &options, known);
        for replaced in &mut retention.replaced {
            let mut needed = replaced.state.files().into_iter();
            let is_complete =
                needed.all(|file| file.kind == FileKind::Del || files.contains(&file));
            replaced.keeps_only_metas |= !is_complete;
        }
        let mut kept = retention.replaced.iter();
        let count = kept.rposition(|replaced| !replaced.keeps_only_metas);
        retention.replaced.truncate(count.map_or(0, |last| last + 1));
        (retention, unread)
    }

    /// Whether the files of a commit that must keep them are unknown.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Adds the commit that was just replaced by `newest`, and drops those that need not be kept
    /// any longer.
    pub(crate) fn push(
        &mut self,
        replaced: DirectoryState,
        newest: &DirectoryState,
        options: &PublisherOptions,
    ) {
        if options.keep_generations == 0 && options.grace.is_zero() {
            self.replaced.clear();
            return;
        }
        if replaced.current.is_some() {
            let is_merged = newest.is_merge();
            if !is_merged {
                let ranks = self.replaced.iter_mut().filter_map(|older| older.rank.as_mut());
                ranks.for_each(|rank| *rank += 1);
            }
            let rank = (!is_merged).then_some(0);
            let at = SystemTime::now();
            let entry = Replaced { at, rank, keeps_only_metas: false, state: replaced };
            self.replaced.insert(0, entry);
        }
        self.drop_expired(options);
    }

    /// A kept commit that keeps a file; `None` if none does. `known` is one that has the file: it
    /// is the answer as long as it keeps its files, without a look at the others.
    pub(crate) fn keeper(
        &self,
        file: FileName,
        known: Option<SequenceNumber>,
    ) -> Option<SequenceNumber> {
        let keeps = |replaced: &&Replaced| replaced.keeps(file);
        // The commits come the newest first.
        let known = self.replaced.binary_search_by(|it| known.cmp(&it.state.current)).ok();
        let known = known.and_then(|at| self.replaced.get(at)).filter(keeps);
        known.or_else(|| self.replaced.iter().find(keeps))?.state.current
    }

    /// All files that are kept, each with the newest commit that keeps it.
    pub(crate) fn keepers(&self) -> BTreeMap<FileName, SequenceNumber> {
        let of_commit = |replaced: &Replaced| {
            let files = replaced.state.files();
            let kept = files.into_iter().filter(|file| replaced.keeps(*file));
            Some(kept.zip(std::iter::repeat(replaced.state.current?)).collect::<Vec<_>>())
        };
        self.replaced.iter().rev().filter_map(of_commit).flatten().collect()
    }
}

/// The error of the meta files of a commit that is to be kept; `None` if one of them is gone, and
/// with it the commit.
fn must_be_known(
    directory: &Path,
    commit: SequenceNumber,
    error: PublishError,
) -> Option<FileError> {
    let damage = match error.into_transient() {
        Ok(error) => return Some(error),
        Err(error) => error,
    };
    let is_damage =
        matches!(damage, PublishError::Format { .. } | PublishError::BrokenChain { .. });
    let path = meta_path(directory, commit);
    is_damage.then(|| FileError::at(&path, FileOperation::Read)(damage.into()))
}

/// Whether a commit keeps its files. It was replaced at `at`, and `rank` generations are between it
/// and the newest.
fn is_kept(rank: Option<usize>, at: SystemTime, options: &PublisherOptions) -> bool {
    // A time in the future means that the clock was set back. The age is then unknown, and 0 keeps
    // the files longest.
    let age = at.elapsed().unwrap_or(Duration::ZERO);
    rank.is_some_and(|rank| rank < options.keep_generations) || age < options.grace
}
