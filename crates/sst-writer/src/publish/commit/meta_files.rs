//! The meta files of a commit: the tables that each of them describes, and their bytes.
//!
//! A commit has one meta file, unless one meta file has no room for all its filters. Then it has
//! several, each for a range of its tables. The newest is written last, and lists the others, which
//! are called parts.
//!
//! A commit also describes the tables of small earlier meta files again, so that the live meta
//! files stay few. They are like the levels of a log-structured merge tree: each is more than twice
//! as large as all newer ones together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::{MetaFile, TableParts};
use sst_format::meta_head::{
    BlockHeaders, DescribedTable, HashRange, ListedMeta, MetaFileV3, MetaLimits,
};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, FormatError, SequenceNumber};

use super::prepared_commit::PreparedCommit;
use crate::PublishError;
use crate::invariant::OrBroken;
use crate::publish::directory_state::{BaseState, DirectoryState};
use crate::publish::meta_state::{DescriptionSize, MetaState, OpenFile, meta_path};

/// The invariant of dividing a commit among meta files.
const RANGE: &str = "meta files describe ranges of the tables of their commit";

/// The invariant of describing the tables of a meta file again.
const WHOLE: &str = "a meta file that was verified describes all tables that its state has";

/// An earlier meta file, whose live tables the commit describes again.
struct RedescribedMeta {
    meta: MetaState,
    path: PathBuf,
    /// The whole file.
    bytes: Vec<u8>,
}

impl RedescribedMeta {
    /// Its live tables. Verifies the whole file.
    fn tables(&self) -> Result<Vec<DescribedTable<'_>>, PublishError> {
        let damage = |source| PublishError::Format { path: self.path.clone(), source };
        let file = MetaFile::parse(&self.bytes, crc32fast::hash).map_err(damage)?;
        if file.protection().map(|section| section.checksum()) != Some(self.meta.checksum) {
            return Err(PublishError::Changed { path: self.path.clone() });
        }
        let tables = file.described().map_err(damage)?;
        let live = tables.into_iter().zip(&self.meta.tables).filter(|(_, state)| state.is_live);
        let describe = |(TableParts { record, filter, protection }, _)| {
            let protection = protection?;
            Some(DescribedTable {
                record,
                entry_count: protection.entry_count,
                filter: self.bytes.get(filter)?,
                headers: BlockHeaders::Stored(self.bytes.get(protection.block_headers)?),
                // Parsing has verified all bytes.
                filter_checksum: None,
                headers_checksum: None,
            })
        };
        let described: Vec<_> = live.map(describe).collect::<Option<_>>().or_broken(WHOLE)?;
        // A table that is left out here is lost: its meta file becomes obsolete.
        let is_whole = described.len() == self.meta.live_tables().count();
        is_whole.then_some(described).or_broken(WHOLE).map_err(Into::into)
    }
}

/// A meta file of the commit that is to be written.
struct NewMeta<'a> {
    name: FileName,
    /// Number of the newest meta file of the commit.
    commit: SequenceNumber,
    tables: &'a [DescribedTable<'a>],
    blobs: BTreeMap<BlobNumber, BlobRecord>,
}

impl NewMeta<'_> {
    /// The range of hashes of its tables.
    fn hashes(&self) -> HashRange {
        let ranges = self.tables.iter().map(|table| &table.record);
        let ranges = ranges.map(|table| HashRange { min: table.min_hash, max: table.max_hash });
        ranges.fold(HashRange::EMPTY, HashRange::union)
    }
}

impl PreparedCommit<'_> {
    /// Writes all meta files of the commit, the newest last. Returns the resulting state of the
    /// directory, and the number of the newest meta file.
    pub(super) fn write_meta_files(
        &self,
    ) -> Result<(DirectoryState, SequenceNumber), PublishError> {
        let limits = self.commit.publisher.options().meta_limits;
        let format = |source| self.format_error(source);
        let own = self.tables().iter().map(|(table, meta)| DescribedTable::new(*table, meta));
        let own: Vec<_> = own.collect::<Result<_, _>>().map_err(format)?;
        let mut parts = limits.split(own.iter().map(size)).map_err(format)?;
        let newest = parts.pop().or_broken("a commit has one meta file at least")?;
        let mut base_state = self.base_state.clone();
        let redescribed = match parts.as_slice() {
            [] => self.read_redescribed(&mut base_state, &own, &limits)?,
            _ => Vec::new(),
        };
        let allocate = || Ok(self.commit.files.allocate(FileKind::Meta)?.0);
        let part_names =
            parts.iter().map(|_| allocate()).collect::<Result<Vec<_>, PublishError>>()?;
        let name = allocate()?;
        let commit = name.sequence;
        let new_meta = |name, tables, blobs| NewMeta { name, commit, tables, blobs };
        for (part, name) in parts.into_iter().zip(part_names) {
            let blobs = self.blobs_of(part.clone())?;
            let meta = new_meta(name, own.get(part).or_broken(RANGE)?, blobs);
            self.write_part(&mut base_state.state, &meta)?;
        }
        let mut tables = Vec::new();
        for older in &redescribed {
            tables.extend(older.tables()?);
        }
        tables.extend(own.get(newest.clone()).or_broken(RANGE)?);
        let mut blobs = self.blobs_of(newest)?;
        let older = redescribed.iter().flat_map(|older| &older.meta.blobs);
        blobs.extend(older.map(|blob| (blob.number, *blob)));
        self.write_newest(&mut base_state, &new_meta(name, &tables, blobs))?;
        Ok((base_state.state, commit))
    }

    fn format_error(&self, source: FormatError) -> PublishError {
        PublishError::Format { path: self.directory().to_owned(), source }
    }

    /// Reads the meta files whose tables this commit describes again.
    fn read_redescribed(
        &self,
        base_state: &mut BaseState,
        own: &[DescribedTable<'_>],
        limits: &MetaLimits,
    ) -> Result<Vec<RedescribedMeta>, PublishError> {
        if self.commit.rollback_to.is_some() {
            // A rollback describes no tables: its list of meta files is that of the earlier commit.
            return Ok(Vec::new());
        }
        let own = DescriptionSize::of(own.iter().map(size));
        let metas = base_state.take_redescribed(self.family(), own, limits);
        let read = |meta: MetaState| {
            let path = meta_path(self.directory(), meta.sequence);
            let file = OpenFile::open(&*self.commit.files.file_system, &path)?;
            let bytes = file.read(0..file.len)?;
            drop(file);
            Ok(RedescribedMeta { meta, path, bytes })
        };
        metas.into_iter().map(read).collect()
    }

    /// Records of the blobs to which these tables of the commit refer.
    fn blobs_of(
        &self,
        tables: Range<usize>,
    ) -> Result<BTreeMap<BlobNumber, BlobRecord>, PublishError> {
        let tables = self.tables().get(tables).or_broken(RANGE)?;
        let of_table = |(table, _): &(SequenceNumber, _)| {
            self.commit.blobs.get(table).or_broken("a commit lists the blobs of each of its tables")
        };
        let numbers: Vec<_> = tables.iter().map(of_table).collect::<Result<_, _>>()?;
        let record = |number: &BlobNumber| {
            let found = self.blobs.binary_search_by_key(number, |blob| blob.number).ok();
            let blob = found.and_then(|at| self.blobs.get(at));
            let blob = blob.or_broken("preparing a commit has found a record of each blob")?;
            Ok((*number, *blob))
        };
        numbers.into_iter().flatten().map(record).collect()
    }

    /// Writes a meta file of the commit that is not its newest.
    fn write_part(
        &self,
        state: &mut DirectoryState,
        meta: &NewMeta<'_>,
    ) -> Result<(), PublishError> {
        let (bytes, mut part) = self.encode(meta, &[], &[])?;
        part.hashes = meta.hashes();
        self.commit.files.write(meta.name, &bytes)?;
        state.push(part);
        Ok(())
    }

    /// Writes the newest meta file of the commit, after all others.
    fn write_newest(
        &self,
        base_state: &mut BaseState,
        meta: &NewMeta<'_>,
    ) -> Result<(), PublishError> {
        let (obsolete, hashes) = base_state.to_name();
        let state = &mut base_state.state;
        let (sequence, family) = (meta.commit, self.family());
        let hashes = meta.hashes().union(hashes);
        let this = ListedMeta { sequence, checksum: 0, family, hashes };
        let live_metas: Vec<_> = state.listed_metas().chain([this]).collect();
        let (bytes, newest) = self.encode(meta, &obsolete, &live_metas)?;
        state.push(newest);
        state.rolled_back = self.commit.publisher.still_rolled_back(state)?;
        if !state.rolled_back.is_empty() {
            // Tells the original's readers which meta files they must not read.
            let name = FileName { sequence, kind: FileKind::Del };
            let bytes = DelFile::encode(state.rolled_back.iter().copied());
            self.commit.files.write(name, &bytes)?;
        }
        self.commit.files.write(meta.name, &bytes)
    }

    /// Encodes a meta file. Returns its bytes, and the state that reading them gives.
    fn encode(
        &self,
        meta: &NewMeta<'_>,
        obsolete: &[SequenceNumber],
        live_metas: &[ListedMeta],
    ) -> Result<(Vec<u8>, MetaState), PublishError> {
        let blobs: Vec<_> = meta.blobs.values().copied().collect();
        let is_part = meta.name.sequence != meta.commit;
        let parts = MetaFileV3 {
            family: self.family(),
            obsolete,
            tables: meta.tables,
            kind: self.commit.kind(),
            commit: meta.commit,
            live_metas,
            blobs: &blobs,
            certificates: if is_part { &[] } else { &self.certificates },
            extension: &[],
        };
        let path = self.commit.files.path(meta.name);
        let encoded = parts.encode(crc32fast::hash);
        let (bytes, _) =
            encoded.map_err(|source| PublishError::Format { path: path.clone(), source })?;
        let state = MetaState::parse(&bytes, meta.name.sequence, &path)?;
        Ok((bytes, state))
    }
}

/// The length of a table's filter, and its number of blocks.
fn size(table: &DescribedTable<'_>) -> (u64, u16) {
    (table.filter.len() as u64, table.record.block_count)
}
