//! Rollback of a bucket to an earlier commit.

use sst_format::SequenceNumber;
use sst_format::meta_head::CommitKind;
use sst_writer::PublishError;

use super::{ObjectCommitInfo, ObjectPublisher};
use crate::commit::{is_complete, numbered_files, older_commits};
use crate::{Monitor, RemoteCommit, StoreError};

impl ObjectPublisher {
    /// Makes the state of an earlier commit visible again, for all families, as
    /// [`Publisher::rollback`](sst_writer::Publisher::rollback) does in a directory: that is commit
    /// `to` or, without it, the newest earlier generation that is complete. A merge is no
    /// generation of its own.
    ///
    /// A rollback is a commit of its own. It is not made again on top of another writer's commit.
    /// O(meta files) requests.
    ///
    /// # Errors
    ///
    /// [`StoreError::Directory`] with [`PublishError::NoSuchGeneration`] if there is no such
    /// commit, or one of its files is gone; as [`RemoteCommit::read_at`] if commit `to` is damaged,
    /// or one of which must be known whether it is a merge; as
    /// [`ObjectCommit::publish`](crate::ObjectCommit::publish).
    pub async fn rollback(
        &mut self,
        to: Option<SequenceNumber>,
        monitor: &Monitor,
    ) -> Result<ObjectCommitInfo, StoreError> {
        let mut commit = self.begin(0).await?;
        let earlier = commit.publisher.earlier_commit(to).await?;
        commit.set_kind(CommitKind::Rollback);
        commit.roll_back_to(earlier);
        commit.publish(monitor).await
    }

    /// The commit that a rollback makes live again.
    async fn earlier_commit(&self, to: Option<SequenceNumber>) -> Result<RemoteCommit, StoreError> {
        let no_such_generation = || PublishError::NoSuchGeneration {
            directory: self.store.name().into(),
            generation: to,
        };
        let current = self.base.commit.as_ref().ok_or_else(no_such_generation)?;
        let files = numbered_files(&self.store).await?;
        let earlier = older_commits(current, &files).into_iter();
        // The commits that a merge has replaced belong to the newest generation too.
        let mut is_newest = to.is_none() && current.kind() == Some(CommitKind::Merge);
        for sequence in earlier.filter(|sequence| to.is_none_or(|to| to == *sequence)) {
            match RemoteCommit::read_at(&self.store, sequence).await {
                Ok(commit) if is_newest => is_newest = commit.kind() == Some(CommitKind::Merge),
                Ok(commit) if is_complete(&commit, &files) => return Ok(commit),
                Ok(_) => {}
                Err(StoreError::PartOfCommit { .. }) if to.is_none() => {}
                // Whether a damaged commit is a merge, after which the search goes on, is unknown.
                // Any other damaged commit is left out.
                Err(error) if error.is_corruption() && to.is_none() && !is_newest => {}
                Err(error) => return Err(error),
            }
        }
        Err(no_such_generation().into())
    }
}
