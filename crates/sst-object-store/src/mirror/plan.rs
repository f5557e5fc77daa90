//! The files that a mirror has to copy.

use std::collections::BTreeMap;

use sst_format::file_name::{FileKind, FileName};

use super::meta_repair::Repaired;
use crate::commit::Described;
use crate::{CommitFile, RemoteCommit, Store, StoreError};

/// A file of a commit to be copied, and the place that describes it.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    pub(super) file: CommitFile,
    pub(super) described: Described,
}

/// The files of a commit, by what a mirror has to do about them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Files that are not there, or do not have the length that the newest commit of the target
    /// states too.
    pub(super) missing: Vec<PlannedFile>,
    /// Files of the right name and length that no commit of the target vouches for: left by a
    /// mirror that was interrupted, or by another writer. In a repair, all tables and blobs that
    /// the newest commit has, too. They are read and verified.
    pub(super) unverified: Vec<PlannedFile>,
    /// Number of files that the newest commit of the target has too.
    pub(super) kept: u64,
}

impl Plan {
    /// Compares a commit with the newest commit of a target, and with the files that are there,
    /// whose bytes a repair does not trust. `repaired` are the meta files that it has copied;
    /// `None` without a repair.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the newest commit of the target has another file of the same name.
    pub(super) fn new(
        commit: &RemoteCommit,
        newest: Option<&RemoteCommit>,
        present: &BTreeMap<FileName, u64>,
        target: &Store,
        repaired: Option<&Repaired>,
    ) -> Result<Self, StoreError> {
        Self::of(commit.keyed_files(), newest, present, target, repaired)
    }

    /// [`Plan::new`] for some files of a commit.
    pub(super) fn of(
        files: BTreeMap<FileName, (CommitFile, Described)>,
        newest: Option<&RemoteCommit>,
        present: &BTreeMap<FileName, u64>,
        target: &Store,
        repaired: Option<&Repaired>,
    ) -> Result<Self, StoreError> {
        // A target without a commit has no files that a commit vouches for.
        let known = newest.map_or_else(BTreeMap::new, RemoteCommit::keyed_files);
        let mut plan = Self::default();
        for (name, (file, described)) in files {
            match known.get(&name) {
                Some((known, _)) if *known == file && present.get(&name) == Some(&file.len) => {
                    match repaired {
                        Some(_) if name.kind != FileKind::Meta => {
                            plan.unverified.push(PlannedFile { file, described });
                        }
                        // It counts as copied. The repair has read the others, and kept them.
                        Some(repaired) if repaired.has(name.sequence) => {}
                        _ => plan.kept += 1,
                    }
                }
                // The target is damaged: the file was removed or cut.
                Some((known, _)) if *known == file => {
                    plan.missing.push(PlannedFile { file, described });
                }
                Some(_) => {
                    return Err(StoreError::Taken { object: target.object(&name.to_string()) });
                }
                None => {
                    let planned = PlannedFile { file, described };
                    match present.get(&name) {
                        Some(len) if *len == file.len => plan.unverified.push(planned),
                        _ => plan.missing.push(planned),
                    }
                }
            }
        }
        Ok(plan)
    }

    /// The names of all files that the newest commit of the target does not have.
    pub(super) fn new_names(&self) -> Vec<FileName> {
        self.missing.iter().chain(&self.unverified).map(|planned| planned.file.name).collect()
    }
}
