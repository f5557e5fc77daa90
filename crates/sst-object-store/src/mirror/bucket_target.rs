//! A bucket that commits are copied to.

use std::collections::BTreeSet;

use sst_format::file_name::{CURRENT_FILE_NAME, FileName};
use sst_format::meta_head::Ancestor;

use super::MirrorOptions;
use crate::claims::{Claim, NumberBlock, Owner};
use crate::commit::{CurrentObject, Swap, replace_current};
use crate::{RemoteCommit, Store, StoreError};

/// A bucket that commits are copied to. Its `CURRENT` is changed only if it is still the one that
/// was read at the start.
#[derive(Debug)]
pub(super) struct BucketTarget {
    pub(super) store: Store,
    current: Option<CurrentObject>,
    claims: Vec<Claim>,
}

impl BucketTarget {
    pub(super) async fn open(store: &Store) -> Result<Self, StoreError> {
        store.check_writable()?;
        let current = CurrentObject::read(store).await?;
        Ok(Self { store: store.clone(), current, claims: Vec::new() })
    }

    /// The commit that its `CURRENT` named at the start.
    pub(super) async fn commit(&self) -> Result<Option<RemoteCommit>, StoreError> {
        match &self.current {
            Some(current) => RemoteCommit::read_at(&self.store, current.sequence).await.map(Some),
            None => Ok(None),
        }
    }

    /// The numbered objects that are there, and their lengths.
    pub(super) async fn present(&self) -> Result<Vec<(FileName, u64)>, StoreError> {
        let objects = self.store.list(None).await?;
        // Other objects, such as claims, are no files of commits.
        let numbered = objects
            .iter()
            .filter_map(|object| FileName::parse(&object.name).map(|name| (name, object.len)));
        Ok(numbered.collect())
    }

    /// Claims the numbers of files that are to be written for a commit. A claim of an earlier
    /// commit of the same source, whose mirror was interrupted, is taken over.
    pub(super) async fn claim(
        &mut self,
        files: &[FileName],
        commit: &RemoteCommit,
        options: &MirrorOptions,
    ) -> Result<(), StoreError> {
        let owner = Owner::mirror(commit.identity())?;
        let blocks: BTreeSet<_> = files.iter().map(|file| NumberBlock::of(file.sequence)).collect();
        let is_earlier = |other| async move {
            match other {
                Owner::Mirror { sequence, checksum } => {
                    commit.comes_after(Ancestor { sequence, checksum }).await
                }
                Owner::Collector(_) | Owner::Publisher(_) => Ok(false),
            }
        };
        for block in blocks {
            let claim = Claim::take(&self.store, block, owner, options.grace, is_earlier).await?;
            self.claims.push(claim);
        }
        Ok(())
    }

    /// Makes a commit whose objects are all there the newest, if there is one, and releases the
    /// claims.
    pub(super) async fn end(self, commit: Option<&RemoteCommit>) -> Result<(), StoreError> {
        if let Some(commit) = commit {
            for claim in &self.claims {
                claim.check(&self.store).await?;
            }
            self.publish(commit).await?;
        }
        for claim in self.claims {
            claim.release(&self.store).await?;
        }
        Ok(())
    }

    /// Replaces `CURRENT`, if it is the one that was read at the start.
    async fn publish(&self, commit: &RemoteCommit) -> Result<(), StoreError> {
        match replace_current(&self.store, self.current.as_ref(), commit.sequence()).await? {
            Swap::Done => Ok(()),
            Swap::Lost { .. } => {
                Err(StoreError::Changed { object: self.store.object(CURRENT_FILE_NAME) })
            }
        }
    }
}
