//! Going back to an earlier commit.

use std::collections::BTreeSet;

use sst_format::SequenceNumber;
use sst_format::file_name::FileKind;

use crate::publish::directory_state::DirectoryState;
use crate::publish::generation::{numbered_files, older_metas};
use crate::{CommitInfo, PublishError, Publisher};

impl Publisher {
    /// Makes the directory show what it showed as of an earlier commit, all families: `to`, or the newest earlier one
    /// that is complete.
    ///
    /// Nothing is undone on disk. A rollback is a commit of its own, with a number of its own, whose list of live meta
    /// files is that of the earlier one (FORMAT.md section 9). Readers see it as any other commit; it happens whole or
    /// not at all, and can be rolled back itself, as long as what it left behind is kept. O(bytes of the meta files).
    ///
    /// # Errors
    ///
    /// [`PublishError::NoSuchGeneration`] if the commit is not an earlier one, or any of its files is gone:
    /// [`PublisherOptions::keep_generations`](crate::PublisherOptions::keep_generations) and
    /// [`PublisherOptions::grace`](crate::PublisherOptions::grace) say what is kept. [`PublishError`] as for
    /// [`Commit::publish`](crate::Commit::publish).
    pub fn rollback(&mut self, to: Option<SequenceNumber>) -> Result<CommitInfo, PublishError> {
        self.check_usable()?;
        let (mut state, skipped) = self.earlier_commit(to)?;
        state.rolled_back = skipped;
        let mut commit = self.begin();
        commit.roll_back_to(state);
        commit.publish()
    }

    /// The state of an earlier commit, and the meta files since.
    fn earlier_commit(
        &self,
        to: Option<SequenceNumber>,
    ) -> Result<(DirectoryState, BTreeSet<SequenceNumber>), PublishError> {
        let file_system = self.file_system();
        let files = numbered_files(&*file_system, self.directory())?;
        let current = self.current().unwrap_or_default();
        let mut earlier =
            older_metas(&files, current).filter(|sequence| to.is_none_or(|to| to == *sequence));
        let found = earlier.find_map(|sequence| {
            match DirectoryState::load_commit(&*file_system, self.directory(), sequence) {
                Ok(state) => state.files().is_subset(&files).then_some(Ok(state)),
                // Not to be passed over for an older one: it may be as complete as any.
                Err(error) => error.into_io().ok().map(Err),
            }
        });
        let state = found.transpose()?.ok_or_else(|| PublishError::NoSuchGeneration {
            directory: self.directory().to_owned(),
            generation: to,
        })?;
        let is_later = |sequence: &SequenceNumber| {
            state.current.is_none_or(|target| *sequence > target) && *sequence <= current
        };
        let metas = files.iter().filter(|file| file.kind == FileKind::Meta);
        let skipped = metas.map(|file| file.sequence).filter(is_later);
        // Those that an earlier rollback left behind are no less rolled_back now.
        let skipped = skipped.chain(self.state().rolled_back.iter().copied()).collect();
        Ok((state, skipped))
    }
}
