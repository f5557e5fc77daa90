//! Rollback of a directory to an earlier commit.

use sst_format::SequenceNumber;
use sst_format::meta_head::CommitKind;

use crate::publish::commit_list::{numbered_files, older_metas};
use crate::publish::del_files;
use crate::publish::directory_state::DirectoryState;
use crate::{CommitInfo, Monitor, PublishError, Publisher};

impl Publisher {
    /// Makes the state of an earlier commit visible again, for all families.
    ///
    /// That is commit `to` or, without it, the newest earlier generation that is complete. A merge
    /// is no generation of its own: it and the commit before are the same generation.
    ///
    /// A rollback is a commit of its own, with its own sequence number, whose list of live meta
    /// files is that of the earlier commit (FORMAT.md section 9). It changes no existing file.
    /// Readers see it as any other commit. It happens whole or not at all, and can itself be rolled
    /// back, as long as the later commits keep their files. O(bytes of the meta files).
    ///
    /// # Errors
    ///
    /// [`PublishError::NoSuchGeneration`] if there is no such earlier commit, or one of its files
    /// is gone: [`PublisherOptions::keep_generations`](crate::PublisherOptions::keep_generations)
    /// and [`PublisherOptions::grace`](crate::PublisherOptions::grace) keep files.
    /// [`PublishError::Format`] or [`PublishError::BrokenChain`] if commit `to` is damaged, or a
    /// commit of which must be known whether it is a merge. [`PublishError`] as for
    /// [`Commit::publish`](crate::Commit::publish).
    pub fn rollback(
        &mut self,
        to: Option<SequenceNumber>,
        monitor: &Monitor,
    ) -> Result<CommitInfo, PublishError> {
        self.check_usable()?;
        let state = self.earlier_commit(to)?;
        let mut commit = self.begin();
        commit.set_kind(CommitKind::Rollback);
        commit.roll_back_to(state);
        commit.publish(monitor)
    }

    /// The state of an earlier commit, with the meta files marked as rolled back that do not count
    /// any more.
    fn earlier_commit(&self, to: Option<SequenceNumber>) -> Result<DirectoryState, PublishError> {
        let no_such_generation = || PublishError::NoSuchGeneration {
            directory: self.directory().to_owned(),
            generation: to,
        };
        let current = self.current().ok_or_else(no_such_generation)?;
        let file_system = self.file_system();
        let files = numbered_files(&*file_system, self.directory())?;
        let mut earlier =
            older_metas(&files, current).filter(|sequence| to.is_none_or(|to| to == *sequence));
        // The commits that a merge has replaced belong to the newest generation too.
        let mut is_newest = to.is_none() && self.state().is_merge();
        let found = earlier.find_map(|sequence| {
            match DirectoryState::load_commit(&*file_system, self.directory(), sequence) {
                Ok(state) if is_newest => {
                    is_newest = state.is_merge();
                    None
                }
                Ok(state) => state.files().is_subset(&files).then_some(Ok(state)),
                Err(PublishError::PartOfCommit { .. }) if to.is_none() => None,
                // Its files are gone, and no other commit is meant.
                Err(PublishError::MissingMeta { .. }) if to.is_some() => None,
                // Whether a damaged commit is a merge, after which the search goes on, is unknown.
                Err(error) if to.is_some() || is_newest => Some(Err(error)),
                // A commit that cannot be read now may be complete, so the search must not go on to
                // an older one. A damaged commit is left out.
                Err(error) => error.into_transient().ok().map(|error| Err(error.into())),
            }
        });
        let mut state = found.transpose()?.ok_or_else(no_such_generation)?;
        let directory = self.directory();
        state.rolled_back = del_files::to_name(&*file_system, directory, &files, &state, current);
        Ok(state)
    }
}
