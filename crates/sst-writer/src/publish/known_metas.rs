//! The meta files of a directory that were read.

use std::collections::BTreeMap;
use std::path::Path;

use sst_format::SequenceNumber;

use crate::publish::commit_meta::CommitMeta;
use crate::publish::directory_state::DirectoryState;
use crate::publish::meta_state::MetaState;
use crate::{FileSystem, PublishError};

/// The meta files of a directory that were read, so that none is read twice. Commits have most meta
/// files in common.
///
/// Which of their descriptions are live depends on the commit, and is not known here.
#[derive(Debug, Default)]
pub(crate) struct KnownMetas(BTreeMap<SequenceNumber, CommitMeta>);

impl KnownMetas {
    /// A meta file, which is read if it is not known.
    pub(crate) fn load(
        &mut self,
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<CommitMeta, PublishError> {
        if let Some(known) = self.0.get(&sequence) {
            return Ok(known.clone());
        }
        let meta = CommitMeta::from(MetaState::load(file_system, directory, sequence)?);
        self.0.insert(sequence, meta.clone());
        Ok(meta)
    }

    /// Adds the meta files of a commit.
    pub(crate) fn add(&mut self, state: &DirectoryState) {
        self.0.extend(state.metas().iter().map(|meta| (meta.sequence, meta.clone())));
    }

    /// Forgets a meta file that was removed.
    pub(crate) fn remove(&mut self, sequence: SequenceNumber) {
        self.0.remove(&sequence);
    }

    /// The known meta files.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CommitMeta> {
        self.0.values()
    }
}
