//! The state of a directory as of a commit, read from its meta files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sst_format::content_digest::FamilyCertificate;
use sst_format::current::Current;
use sst_format::del_file::DelFile;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::live::{DescribesTables, live_tables};
use sst_format::meta_file::{MetaFile, TableRecord};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber};

use crate::{FileError, FileOperation, FileSystem, PublishError};

/// A meta file of a commit. It is the commit's newest, or describes at least one live table.
#[derive(Clone, Debug)]
pub(crate) struct MetaState {
    pub(crate) sequence: SequenceNumber,
    /// The checksum in its trailer.
    pub(crate) checksum: u32,
    pub(crate) family: u32,
    /// All tables that it describes, live or not, the oldest first.
    pub(crate) tables: Vec<TableState>,
    pub(crate) blobs: Vec<BlobRecord>,
    pub(crate) obsolete: Vec<SequenceNumber>,
    certificates: Vec<FamilyCertificate>,
    /// The meta files that were live as of its commit.
    pub(crate) live_metas: Vec<LiveMeta>,
}

/// A table as one meta file describes it.
#[derive(Clone, Debug)]
pub(crate) struct TableState {
    record: TableRecord,
    entry_count: u64,
    /// Whether this description is live in the [`DirectoryState`] that holds the meta file.
    is_live: bool,
}

/// The meta files of a commit. The default is the state of a directory before its first commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirectoryState {
    /// The commit point.
    pub(crate) current: Option<SequenceNumber>,
    /// Live meta files, the oldest first.
    metas: Vec<MetaState>,
    /// Meta files rolled back: a rollback has left them behind, so they are not live, but they are
    /// still there. The original's readers know no list of live meta files, so the `.del` file of
    /// the commit tells them not to read these.
    ///
    /// For example, after commits 2, 4 and 6 and a rollback to 2, which is commit 7: 4 and 6.
    pub(crate) rolled_back: BTreeSet<SequenceNumber>,
}

impl DirectoryState {
    /// Reads `CURRENT` and all live meta files, and checks that they are those of one commit.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
    ) -> Result<Self, PublishError> {
        let Some(current) = read_current(file_system, directory)? else {
            return Ok(Self::default());
        };
        let mut state = Self::load_commit(file_system, directory, current.sequence)?;
        state.rolled_back = read_del(file_system, directory, current.sequence)?;
        Ok(state)
    }

    /// Reads the commit whose meta file is `sequence`, the newest or an earlier one.
    pub(crate) fn load_commit(
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<Self, PublishError> {
        let newest = MetaState::load(file_system, directory, sequence)?;
        let mut metas = Vec::new();
        for listed in &newest.live_metas {
            if listed.sequence == newest.sequence {
                continue;
            }
            let meta = MetaState::load(file_system, directory, listed.sequence)?;
            if meta.checksum != listed.checksum {
                return Err(PublishError::BrokenChain {
                    path: meta_path(directory, listed.sequence),
                    expected: listed.checksum,
                    found: meta.checksum,
                });
            }
            metas.push(meta);
        }
        metas.push(newest);
        metas.sort_by_key(|meta| meta.sequence);
        let mut state = Self { current: Some(sequence), metas, rolled_back: BTreeSet::new() };
        state.mark_live();
        Ok(state)
    }

    /// Live tables with their families, those of older meta files first.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.metas
            .iter()
            .flat_map(|meta| meta.live_tables().map(|table| (meta.family, &table.record)))
    }

    /// Works out which descriptions are live, by the rule of FORMAT.md section 9.
    fn mark_live(&mut self) {
        let live = live_tables(&self.metas);
        let live: BTreeSet<_> = live.iter().map(|live| (live.meta.sequence, live.index)).collect();
        for meta in &mut self.metas {
            for (index, table) in meta.tables.iter_mut().enumerate() {
                table.is_live = live.contains(&(meta.sequence, index));
            }
        }
    }

    /// Certificates of families, ascending: those of the newest meta file.
    pub(crate) fn certificates(&self) -> &[FamilyCertificate] {
        self.metas.last().map_or(&[], |newest| &newest.certificates)
    }

    /// Number of entries of the live tables.
    pub(crate) fn live_entries(&self) -> u64 {
        self.metas.iter().flat_map(MetaState::live_tables).map(|table| table.entry_count).sum()
    }

    /// The blobs that the commit may refer to.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &BlobRecord> {
        self.metas.iter().flat_map(|meta| &meta.blobs)
    }

    /// Whether a meta file is live.
    pub(crate) fn has_meta(&self, sequence: SequenceNumber) -> bool {
        self.metas.iter().any(|meta| meta.sequence == sequence)
    }

    /// A blob that the newest commit may refer to.
    pub(crate) fn blob(&self, number: BlobNumber) -> Option<BlobRecord> {
        self.blobs().find(|blob| blob.number == number).copied()
    }

    /// This state without the `obsolete` tables, for the next commit to build on, and the tables
    /// that the next meta file must name obsolete: every table described so far that has no live
    /// description. Meta files without a live description are left out, since no commit needs them
    /// again.
    ///
    /// A table is not named if one of its descriptions is live, even if older meta files describe
    /// it too: its number would hide all of them.
    pub(crate) fn without(
        &self,
        obsolete: &BTreeSet<SequenceNumber>,
    ) -> (Self, Vec<SequenceNumber>) {
        let mut metas = self.metas.clone();
        for meta in &mut metas {
            for table in &mut meta.tables {
                table.is_live &= !obsolete.contains(&table.record.sequence);
            }
        }
        let live = metas.iter().flat_map(MetaState::live_tables);
        let live: BTreeSet<_> = live.map(|table| table.record.sequence).collect();
        let described = self.metas.iter().flat_map(|meta| &meta.tables);
        let described: BTreeSet<_> = described.map(|table| table.record.sequence).collect();
        let named = described.difference(&live).copied().collect();
        metas.retain(|meta| meta.live_tables().next().is_some());
        let rolled_back = self.rolled_back.clone();
        (Self { current: self.current, metas, rolled_back }, named)
    }

    /// The live meta files, as the next meta file lists them.
    pub(crate) fn live_metas(&self) -> impl Iterator<Item = LiveMeta> {
        self.metas.iter().map(|meta| LiveMeta { sequence: meta.sequence, checksum: meta.checksum })
    }

    /// Adds the newest meta file.
    pub(crate) fn push(&mut self, meta: MetaState) {
        self.current = Some(meta.sequence);
        self.metas.push(meta);
        self.mark_live();
    }

    /// All files that belong to the commit, except `CURRENT`.
    pub(crate) fn files(&self) -> BTreeSet<FileName> {
        let name = |sequence, kind| FileName { sequence, kind };
        let tables = self.live_tables().map(|(_, table)| name(table.sequence, FileKind::Sst));
        let metas = self.metas.iter().map(|meta| name(meta.sequence, FileKind::Meta));
        let blobs = self.blobs().map(|blob| name(SequenceNumber(blob.number.0), FileKind::Blob));
        let del = self.current.filter(|_| !self.rolled_back.is_empty());
        let del = del.map(|current| name(current, FileKind::Del));
        tables.chain(metas).chain(blobs).chain(del).collect()
    }
}

impl DescribesTables for MetaState {
    type Description<'a> = &'a TableRecord;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &TableRecord)> {
        self.tables.iter().map(|table| (table.record.sequence, &table.record))
    }
}

impl MetaState {
    /// The tables whose description here is live.
    fn live_tables(&self) -> impl Iterator<Item = &TableState> {
        self.tables.iter().filter(|table| table.is_live)
    }

    fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<Self, PublishError> {
        let path = meta_path(directory, sequence);
        let bytes = file_system.read(&path).map_err(FileError::at(&path, FileOperation::Read))?;
        Self::parse(&bytes, sequence, &path)
    }

    /// Reads a protected meta file, which the original's are not.
    pub(crate) fn parse(
        bytes: &[u8],
        sequence: SequenceNumber,
        path: &Path,
    ) -> Result<Self, PublishError> {
        let meta = MetaFile::parse(bytes, crc32fast::hash)
            .map_err(|source| PublishError::Format { path: path.to_owned(), source })?;
        let Some(protection) = meta.protection() else {
            return Err(PublishError::Unprotected { path: path.to_owned() });
        };
        // A protected meta file has one entry count for each table.
        let tables = meta.tables().zip(meta.protected_tables());
        let tables = tables.map(|(record, (entry_count, _))| TableState {
            record,
            entry_count,
            // Until the meta file is part of a directory's state.
            is_live: true,
        });
        let tables = tables.collect();
        Ok(Self {
            sequence,
            checksum: protection.checksum(),
            family: meta.family(),
            tables,
            blobs: protection.blobs().collect(),
            obsolete: meta.obsolete().collect(),
            certificates: protection.certificates().collect(),
            live_metas: protection.live_metas().collect(),
        })
    }
}

/// Path of a meta file.
pub(crate) fn meta_path(directory: &Path, sequence: SequenceNumber) -> PathBuf {
    directory.join(FileName { sequence, kind: FileKind::Meta }.to_string())
}

/// The meta files that the `.del` file of a commit names; none if there is no such file.
fn read_del(
    file_system: &dyn FileSystem,
    directory: &Path,
    sequence: SequenceNumber,
) -> Result<BTreeSet<SequenceNumber>, PublishError> {
    let path = directory.join(FileName { sequence, kind: FileKind::Del }.to_string());
    match file_system.read(&path) {
        Ok(bytes) => match DelFile::parse(&bytes) {
            Ok(del) => Ok(del.sequences().collect()),
            Err(source) => Err(PublishError::Format { path, source }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(FileError::at(&path, FileOperation::Read)(error).into()),
    }
}

/// The commit point of a directory; `None` if there is no `CURRENT`.
pub(crate) fn read_current(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Option<Current>, PublishError> {
    let path = directory.join(CURRENT_FILE_NAME);
    let bytes = match file_system.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::at(&path, FileOperation::Read)(error).into()),
    };
    match Current::parse(&bytes, crc32fast::hash) {
        Ok(current) if current.is_protected => Ok(Some(current)),
        Ok(_) => Err(PublishError::Unprotected { path }),
        Err(source) => Err(PublishError::Format { path, source }),
    }
}
