//! The writing of the meta files of a commit. [`MetaPlan`] decides their content.

use sst_format::SequenceNumber;
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;

use super::prepared_commit::PreparedCommit;
use crate::PublishError;
use crate::invariant::{BrokenInvariant, OrBroken};
use crate::publish::directory_state::DirectoryState;
use crate::publish::meta_plan::{CommitContent, MetaPlan};
use crate::publish::meta_state::MetaState;
use crate::publish::new_meta_file::NewMetaFile;
use crate::publish::older_meta::OlderMeta;

impl PreparedCommit<'_> {
    /// Writes all meta files of the commit, the newest last. Returns the resulting state of the
    /// directory, and the number of the newest meta file.
    pub(super) fn write_meta_files(
        &mut self,
    ) -> Result<(DirectoryState, SequenceNumber), PublishError> {
        let base = std::mem::take(&mut self.base_state);
        let blobs = self.blobs_of_tables()?;
        let content = CommitContent {
            family: self.family(),
            kind: self.commit.kind(),
            tables: self.tables(),
            blobs: &blobs,
            certificates: &self.certificates,
            directory: self.directory(),
        };
        let limits = self.commit.publisher.options().meta_limits;
        // A rollback describes no tables: its list of meta files is that of the earlier commit.
        let redescribes = self.commit.rollback_to.is_none();
        // The newest commit comes before this one, also if this one goes back behind it.
        let extension = self.commit.publisher.state().next_extension();
        let mut plan = MetaPlan::new(content, base, &extension, redescribes, &limits)?;
        let file_system = &*self.commit.files.file_system;
        let older = plan.redescribed().iter();
        let older = older.map(|meta| OlderMeta::open(file_system, self.directory(), meta));
        let older: Vec<_> = older.collect::<Result<_, _>>()?;
        let allocate = || Ok(self.commit.files.allocate(FileKind::Meta)?.0);
        let parts: Vec<FileName> =
            (0..plan.part_count()).map(|_| allocate()).collect::<Result<_, PublishError>>()?;
        let name = allocate()?;
        let commit = name.sequence;
        for (index, part) in parts.into_iter().enumerate() {
            let state = self.write_meta_file(part, &plan.part(index, commit)?, &[])?;
            plan.add_part(index, state)?;
        }
        let rolled_back = self.commit.publisher.still_rolled_back(plan.base())?;
        if !rolled_back.is_empty() {
            // Tells the original's readers which meta files they must not read.
            let name = FileName { sequence: commit, kind: FileKind::Del };
            let bytes = DelFile::encode(rolled_back.iter().copied());
            self.commit.files.write(name, &bytes)?;
        }
        let newest = plan.newest(commit, &older)?;
        let newest = self.write_meta_file(name, &newest, &older)?;
        let mut state = plan.finish(newest);
        state.rolled_back = rolled_back;
        Ok((state, commit))
    }

    /// Writes a meta file, and compares it on the device with what was written. Returns the state
    /// that reading it gives.
    fn write_meta_file(
        &self,
        name: FileName,
        meta: &NewMetaFile<'_>,
        older: &[OlderMeta<'_>],
    ) -> Result<MetaState, PublishError> {
        let files = &self.commit.files;
        files.write_pieces(name, meta.len(), |out| meta.write(older, out))?;
        MetaState::load(&*files.file_system, self.directory(), name.sequence)
    }

    /// Records of the blobs to which each table of the commit refers.
    fn blobs_of_tables(&self) -> Result<Vec<Vec<BlobRecord>>, PublishError> {
        let record = |number| {
            let found = self.blobs.binary_search_by_key(number, |blob| blob.number).ok();
            let blob = found.and_then(|at| self.blobs.get(at)).copied();
            blob.or_broken("preparing a commit has found a record of each blob")
        };
        let of_each = self.commit.tables.blobs().map(|of_table| {
            let (_, numbers) = of_table?;
            numbers.iter().map(record).collect::<Result<_, BrokenInvariant>>()
        });
        Ok(of_each.collect::<Result<_, _>>()?)
    }
}
