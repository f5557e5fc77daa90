//! Earlier commits of a target whose files a mirror replaces.

use std::collections::BTreeMap;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

use super::plan::PlannedFile;
use super::target::Target;
use crate::{CommitFile, RemoteCommit, StoreError};

/// The commits of a mirror.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commits<'a> {
    /// The commit of the source.
    pub(super) copied: &'a RemoteCommit,
    /// The newest commit of the target.
    pub(super) newest: Option<&'a RemoteCommit>,
}

impl Commits<'_> {
    /// Whether a meta file is one of these commits'.
    fn have(&self, meta: SequenceNumber) -> bool {
        let mut commits = self.newest.into_iter().chain([self.copied]);
        commits.any(|commit| commit.metas().any(|known| known.sequence == meta))
    }

    /// Whether a meta file of the target may be one that another writer is about to publish.
    fn may_be_of_writer(&self, target: &Target, meta: SequenceNumber) -> bool {
        // A directory is locked.
        let is_bucket = matches!(target, Target::Bucket(_));
        is_bucket && self.newest.is_some_and(|newest| meta > newest.sequence())
    }
}

/// Removes the meta files of earlier commits of the target that have one of the files to be copied
/// under the same name with other content. Such a commit would look complete, and a rollback to it
/// would end at files of another history.
///
/// For example, a target has commits 2 and 4, and the source was rebuilt: its commit 3 has another
/// table 1 than commit 2. Before that table is copied, meta file 2 goes. All older ones go with it:
/// the original's readers learn from a meta file which tables of older ones are obsolete.
pub(super) async fn remove_spoiled(
    target: &Target,
    commits: Commits<'_>,
    copied: &[PlannedFile],
) -> Result<(), StoreError> {
    let copied: BTreeMap<FileName, &CommitFile> =
        copied.iter().map(|planned| (planned.file.name, &planned.file)).collect();
    // A commit has only files with numbers up to its own, so a mirror that adds the files of a new
    // commit looks at no older one, and one that copies nothing at none.
    let Some(lowest) = copied.keys().map(|name| name.sequence).min() else { return Ok(()) };
    let present = target.present().await?;
    let metas = present.keys().filter(|name| name.kind == FileKind::Meta);
    let metas: Vec<_> = metas.map(|name| name.sequence).collect();
    let candidates = metas
        .iter()
        .copied()
        .filter(|meta| !commits.have(*meta) && !commits.may_be_of_writer(target, *meta));
    let mut newest = None;
    for sequence in candidates.clone().filter(|meta| *meta >= lowest).rev() {
        match RemoteCommit::read_at(target.store(), sequence).await {
            Ok(commit) if is_spoiled(&commit, &copied) => {
                newest = Some(sequence);
                break;
            }
            Ok(_) => {}
            // A damaged commit, or a part, is nothing that a rollback goes to.
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(error),
        }
    }
    // No earlier commit has a file that is replaced.
    let Some(newest) = newest else { return Ok(()) };
    let spoiled = candidates.filter(|meta| *meta <= newest);
    let name = |sequence| FileName { sequence, kind: FileKind::Meta };
    target.remove(spoiled.map(name).collect()).await
}

/// Whether a commit has another file of the name of one that is copied.
fn is_spoiled(commit: &RemoteCommit, copied: &BTreeMap<FileName, &CommitFile>) -> bool {
    let mut files = commit.files().into_iter();
    files.any(|file| copied.get(&file.name).is_some_and(|copied| **copied != file))
}
