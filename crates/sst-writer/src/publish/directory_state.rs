//! The state of a directory as of a commit, read from its meta files.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::Path;

use sst_format::content_digest::FamilyCertificate;
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::identity::{CommitIdentity, IDENTITY_LEN};
use sst_format::live::live_tables;
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::{
    Ancestor, CommitKind, Extension, HashRange, ListedMeta, MetaLimits, Shard,
};
use sst_format::protection::BlobRecord;
use sst_format::{FormatError, SequenceNumber};

use crate::invariant::BrokenInvariant;
use crate::publish::commit_meta::CommitMeta;
use crate::publish::del_files;
use crate::publish::known_metas::KnownMetas;
use crate::publish::meta_state::{DescriptionSize, MetaReader, meta_path};
use crate::{FileSystem, PublishError};

/// The meta files of a commit. The default is the state of a directory before its first commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirectoryState {
    /// The commit point.
    pub(crate) current: Option<SequenceNumber>,
    /// Live meta files, the oldest first.
    metas: Vec<CommitMeta>,
    /// No table that they describe has a higher number. `None` if they describe none.
    highest_table: Option<SequenceNumber>,
    /// Meta files rolled back: a rollback has made them no longer live, but they are still there.
    /// The original's readers know no list of live meta files, so the `.del` file of the commit
    /// names these files.
    ///
    /// For example, after commits 2, 4 and 6, a rollback to 2 makes commit 7. Then 4 and 6 are
    /// rolled back.
    pub(crate) rolled_back: BTreeSet<SequenceNumber>,
}

impl DirectoryState {
    /// Reads `CURRENT` and all live meta files, and checks that they belong to one commit.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
    ) -> Result<Self, PublishError> {
        let Some(current) = read_current(file_system, directory)? else {
            return Ok(Self::default());
        };
        let mut state = Self::load_commit(file_system, directory, current.sequence)?;
        state.rolled_back =
            del_files::read_newest(file_system, directory, &state, current.sequence)?;
        Ok(state)
    }

    /// Reads the commit whose newest meta file is `sequence`: the newest commit or an earlier one.
    pub(crate) fn load_commit(
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<Self, PublishError> {
        Self::load_with(&mut KnownMetas::default(), file_system, directory, sequence)
    }

    /// As [`DirectoryState::load_commit`], but reads only the meta files that are not known.
    pub(crate) fn load_with(
        known: &mut KnownMetas,
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<Self, PublishError> {
        let mut load = |sequence| known.load(file_system, directory, sequence);
        let newest = load(sequence)?;
        if newest.commit != sequence {
            let path = meta_path(directory, sequence);
            return Err(PublishError::PartOfCommit { path, commit: newest.commit });
        }
        let mut metas = Vec::new();
        for listed in newest.live_metas.metas() {
            if listed.sequence == newest.sequence {
                continue;
            }
            let mut meta = load(listed.sequence)?;
            if meta.checksum != listed.checksum {
                return Err(PublishError::BrokenChain {
                    path: meta_path(directory, listed.sequence),
                    expected: listed.checksum,
                    found: meta.checksum,
                });
            }
            // Lists before version 3 have no hashes.
            let record = newest.live_metas.record(listed.sequence);
            meta.hashes = record.map_or(HashRange::FULL, |record| record.hashes);
            metas.push(meta);
        }
        metas.push(newest);
        Ok(Self::of_metas(metas))
    }

    /// The state of the commit with these live meta files, in any order.
    pub(crate) fn of_metas(mut metas: Vec<CommitMeta>) -> Self {
        metas.sort_by_key(|meta| meta.sequence);
        let current = metas.last().map(|newest| newest.sequence);
        let tables = metas.iter().flat_map(|meta| &meta.tables);
        let highest_table = tables.map(|table| table.record.sequence).max();
        let mut state = Self { current, metas, highest_table, rolled_back: BTreeSet::new() };
        state.mark_live();
        state
    }

    /// Fails if a directory is no longer at this commit: if its `CURRENT` states another number, or
    /// its newest meta file another checksum. The number alone is not enough: a directory that was
    /// swapped, restored or rebuilt may have the same numbers.
    pub(crate) fn check_unchanged(
        &self,
        file_system: &dyn FileSystem,
        directory: &Path,
    ) -> Result<(), PublishError> {
        let found = read_current(file_system, directory)?.map(|current| current.sequence);
        if found != self.current {
            return Err(PublishError::Changed { path: directory.join(CURRENT_FILE_NAME) });
        }
        let Some(newest) = self.metas.last() else { return Ok(()) };
        let path = meta_path(directory, newest.sequence);
        let changed = || PublishError::Changed { path: path.clone() };
        let file = match MetaReader::open(file_system, &path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Err(changed()),
            file => file?,
        };
        let found = CommitIdentity::of_last_bytes(newest.sequence, &file.last_bytes(IDENTITY_LEN)?);
        let is_same = found.is_ok_and(|found| Some(found) == newest.identity);
        if is_same { Ok(()) } else { Err(changed()) }
    }

    /// Live tables with their families, those of older meta files first.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.metas
            .iter()
            .flat_map(|meta| meta.live_tables().map(|table| (meta.family, &table.record)))
    }

    /// Whether other descriptions were live if this meta file counted too.
    pub(crate) fn is_changed_by(&self, meta: &CommitMeta) -> bool {
        let metas: Vec<&CommitMeta> = self.metas.iter().chain([meta]).collect();
        let live = live_tables(&metas);
        let live = live.iter().map(|live| (live.meta.sequence, live.index));
        !live.eq(self.marked_live())
    }

    /// Sets which descriptions are live, by the rule of FORMAT.md section 9.
    fn mark_live(&mut self) {
        let live = live_tables(&self.metas);
        let live: HashSet<_> = live.iter().map(|live| (live.meta.sequence, live.index)).collect();
        for meta in &mut self.metas {
            let sequence = meta.sequence;
            meta.set_live(|index, _| live.contains(&(sequence, index)));
        }
    }

    /// The descriptions that are marked live: their meta files, and their indices in these.
    fn marked_live(&self) -> impl Iterator<Item = (SequenceNumber, usize)> {
        self.metas.iter().flat_map(|meta| {
            let sequence = meta.sequence;
            meta.live_indices().map(move |index| (sequence, index))
        })
    }

    /// Certificates in ascending order of families: those of the newest meta file.
    pub(crate) fn certificates(&self) -> &[FamilyCertificate] {
        self.metas.last().map_or(&[], |newest| &newest.certificates)
    }

    /// Number of entries of the live tables.
    pub(crate) fn live_entries(&self) -> u64 {
        self.metas.iter().flat_map(CommitMeta::live_tables).map(|table| table.entry_count).sum()
    }

    /// The blobs that the commit may refer to.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &BlobRecord> {
        self.metas.iter().flat_map(|meta| &meta.blobs)
    }

    /// The checksum in the trailer of the newest meta file. `None` before the first commit.
    pub(crate) fn newest_checksum(&self) -> Option<u32> {
        self.metas.last().map(|newest| newest.checksum)
    }

    /// The shard that the directory holds; `None` if it holds everything.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.metas.last().and_then(|newest| newest.extension.shard)
    }

    /// The extension of a commit that follows this one in the directory, on whatever commit it is
    /// based. It names this one among the commits before, and belongs to the same shard, but to no
    /// commit of the source of that shard.
    pub(crate) fn next_extension(&self) -> Extension {
        let Some(newest) = self.metas.last() else { return Extension::default() };
        let ancestor = Ancestor { sequence: newest.sequence, checksum: newest.checksum };
        let shard = newest.extension.shard.map(Shard::without_source);
        Extension { lineage: newest.extension.lineage.followed_by(ancestor), shard }
    }

    /// Whether a meta file is live.
    pub(crate) fn has_meta(&self, sequence: SequenceNumber) -> bool {
        self.metas.iter().any(|meta| meta.sequence == sequence)
    }

    /// The kind of the commit. `None` before the first commit, and for commits of older builds,
    /// which do not store it.
    pub(crate) fn kind(&self) -> Option<CommitKind> {
        self.metas.last()?.kind
    }

    /// Whether the commit is a merge, so that it and the commit before are one generation.
    pub(crate) fn is_merge(&self) -> bool {
        self.kind() == Some(CommitKind::Merge)
    }

    /// This state without the `obsolete` tables of a family, as the base of the next commit of that
    /// family.
    pub(crate) fn without(&self, family: u32, obsolete: &BTreeSet<SequenceNumber>) -> BaseState {
        let mut state = self.clone();
        state.metas.iter_mut().for_each(|meta| meta.kill(obsolete));
        let dead = state.dead_descriptions(family);
        let mut obsolete: BTreeMap<SequenceNumber, DeadTable> = BTreeMap::new();
        for (table, meta) in dead {
            let hashes = HashRange { min: table.min_hash, max: table.max_hash };
            let dead = obsolete.entry(table.sequence).or_insert(DeadTable { hashes, newest: meta });
            dead.hashes = dead.hashes.union(hashes);
            dead.newest = dead.newest.max(meta);
        }
        let mut base = BaseState { state, obsolete };
        base.drop_unneeded_metas();
        base
    }

    /// The descriptions of a family's tables that have no live description, with the meta files
    /// that hold them.
    fn dead_descriptions(&self, family: u32) -> Vec<(TableRecord, SequenceNumber)> {
        let of_family = self.metas.iter().filter(|meta| meta.family == family);
        let not_live = of_family
            .flat_map(|meta| meta.dead_tables().map(|table| (table.record, meta.sequence)));
        // A table whose older description is dead may have a live one.
        not_live.filter(|(table, _)| !self.has_live_table(table.sequence)).collect()
    }

    /// Whether a table is live.
    fn has_live_table(&self, table: SequenceNumber) -> bool {
        self.metas.iter().any(|meta| meta.has_live_table(table))
    }

    /// The live meta files, as the next meta file will list them.
    pub(crate) fn listed_metas(&self) -> impl Iterator<Item = ListedMeta> {
        self.metas.iter().map(CommitMeta::listed)
    }

    /// Adds a meta file, which is then the newest. Its statements about tables are the last ones,
    /// so no other of these tables is live. Its own descriptions are, since our encoder describes
    /// no table twice in a meta file.
    ///
    /// A meta file of new tables says nothing of others, so the parts of a large commit are added
    /// in time that grows with their own tables only.
    pub(crate) fn push(&mut self, meta: CommitMeta) {
        let described = meta.tables.iter().map(|table| table.record.sequence);
        let named: BTreeSet<_> = meta.obsolete.iter().copied().chain(described).collect();
        if named.first().is_some_and(|lowest| Some(*lowest) <= self.highest_table) {
            self.metas.iter_mut().for_each(|older| older.kill(&named));
        }
        self.highest_table = self.highest_table.max(named.last().copied());
        self.current = Some(meta.sequence);
        self.metas.push(meta);
        debug_assert!(self.is_marked_live(), "not as the rule says: {:?}", self.metas);
    }

    /// Whether the descriptions that are marked live are those that the rule says.
    fn is_marked_live(&self) -> bool {
        let live = live_tables(&self.metas);
        live.iter().map(|live| (live.meta.sequence, live.index)).eq(self.marked_live())
    }

    /// All files that belong to the commit, except `CURRENT`.
    pub(crate) fn files(&self) -> BTreeSet<FileName> {
        self.metas.iter().flat_map(CommitMeta::files).chain(self.del_file()).collect()
    }

    /// Whether a file belongs to the commit.
    pub(crate) fn needs(&self, file: FileName) -> bool {
        self.metas.iter().any(|meta| meta.needs(file)) || self.del_file() == Some(file)
    }

    /// The files that the commit needs because of meta files which `other` does not have, or of
    /// which other descriptions are live there. All files that only this commit needs are among
    /// them.
    pub(crate) fn files_unlike(&self, other: &Self) -> impl Iterator<Item = FileName> {
        let is_same = |meta: &CommitMeta| other.metas.iter().any(|known| known.is_same(meta));
        let metas = self.metas.iter().filter(move |meta| !is_same(meta));
        metas.flat_map(CommitMeta::files).chain(self.del_file())
    }

    /// The `.del` file of the commit, if it has one.
    fn del_file(&self) -> Option<FileName> {
        let sequence = self.current.filter(|_| !self.rolled_back.is_empty())?;
        Some(FileName { sequence, kind: FileKind::Del })
    }

    /// Its meta files, the oldest first.
    pub(crate) fn metas(&self) -> &[CommitMeta] {
        &self.metas
    }
}

/// The state of a directory that the next commit continues.
#[derive(Debug, Default)]
pub(crate) struct BaseState {
    /// The commit before, without the tables that the next one makes obsolete, and without the meta
    /// files that no commit needs any more.
    pub(crate) state: DirectoryState,
    /// Every table of the family that has a description but no live one.
    ///
    /// A table with a live description is not here, even if older meta files describe it too: an
    /// obsolete number hides all descriptions of the table.
    obsolete: BTreeMap<SequenceNumber, DeadTable>,
}

/// A table that has a description but no live one.
#[derive(Clone, Copy, Debug)]
struct DeadTable {
    hashes: HashRange,
    /// The newest meta file that describes it.
    newest: SequenceNumber,
}

impl BaseState {
    /// Every table of the family that has a description but no live one, ascending.
    pub(crate) fn dead_tables(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.keys().copied()
    }

    /// The tables that the next meta file must name obsolete, ascending, and a range of hashes that
    /// covers them: the dead tables of the family that no meta file which stays names already. So a
    /// table is named once for each time that the meta file which names it is taken out.
    pub(crate) fn to_name(&self) -> (Vec<SequenceNumber>, HashRange) {
        let mut named: BTreeMap<SequenceNumber, SequenceNumber> = BTreeMap::new();
        for meta in &self.state.metas {
            named.extend(meta.obsolete.iter().map(|table| (*table, meta.sequence)));
        }
        let is_hidden = |table: &SequenceNumber, dead: &DeadTable| {
            named.get(table).is_some_and(|newest| *newest > dead.newest)
        };
        let unnamed = self.obsolete.iter().filter(|(table, dead)| !is_hidden(table, dead));
        let hashes = unnamed.clone().map(|(_, dead)| dead.hashes);
        let hashes = hashes.fold(HashRange::EMPTY, HashRange::union);
        (unnamed.map(|(table, _)| *table).collect(), hashes)
    }

    /// Takes out the meta files whose live tables the next commit describes again, oldest first.
    /// `own` is the size of the descriptions of the commit's own tables.
    ///
    /// It goes through the meta files of the family, as far as their tables fit `limits`, and finds
    /// the oldest that is at most twice as large as all newer ones together; it takes out this one
    /// and all newer ones. So each remaining meta file is more than twice as large as all newer
    /// ones together, and there are O(log N) of them after N commits. Each time a table is
    /// described again, its meta file grows by at least half, so that happens O(log N) times. If
    /// the family has few meta files, their size does not matter.
    ///
    /// A meta file that says much of dead tables is taken out too, with all newer ones: a reader
    /// that opens the directory reads that. So is one whose dead tables have blobs that are larger
    /// than the descriptions to be written, because these blobs stay as long as it lists them.
    pub(crate) fn take_redescribed(
        &mut self,
        family: u32,
        own: DescriptionSize,
        limits: &MetaLimits,
    ) -> Result<Vec<CommitMeta>, BrokenInvariant> {
        let of_family = self.state.metas.iter().rev().filter(|meta| meta.family == family);
        let are_few = of_family.clone().count() < FEW_META_FILES;
        let oldest_of = oldest_descriptions(&self.state.metas, |_| true);
        let mut newer = own;
        let mut oldest = None;
        for meta in of_family.filter(|meta| meta.has_live()) {
            let size = meta.live_size();
            let is_small = !are_few && size.file_len() <= 2 * newer.file_len();
            newer = newer.with(size);
            if !newer.fits(limits) {
                break;
            }
            let is_older = |older: &SequenceNumber| *older < meta.sequence;
            let hides = |table| oldest_of.get(&table).is_some_and(is_older);
            let frees = meta.dead_blob_len()? > newer.file_len();
            if is_small || frees || meta.has_much_dead(hides) {
                oldest = Some(meta.sequence);
            }
        }
        let Some(oldest) = oldest else { return Ok(Vec::new()) };
        let is_redescribed = |meta: &CommitMeta| meta.family == family && meta.sequence >= oldest;
        let redescribed =
            self.state.metas.iter().filter(|meta| is_redescribed(meta) && meta.has_live());
        let redescribed = redescribed.cloned().collect();
        for meta in self.state.metas.iter_mut().filter(|meta| is_redescribed(meta)) {
            meta.set_live(|_, _| false);
        }
        self.drop_unneeded_metas();
        Ok(redescribed)
    }

    /// Drops the meta files that the next commit does not need: those without a live description,
    /// unless they hide a dead description that the next meta file cannot name. The next meta file
    /// names only dead tables of its own family.
    ///
    /// For example, meta file 4 of family 7 makes table 1 obsolete, and meta file 2 of that family
    /// describes tables 1 and 3. The next commit of family 0 still lists both. A meta file that
    /// stays only because it hides something may itself have dead descriptions, so the search for
    /// meta files that hide them is repeated until none is added.
    fn drop_unneeded_metas(&mut self) {
        let dead = &self.obsolete;
        let metas = &self.state.metas;
        let with_live = metas.iter().filter(|meta| meta.has_live());
        let mut stays: BTreeSet<_> = with_live.map(|meta| meta.sequence).collect();
        loop {
            let described = oldest_descriptions(metas, |meta| stays.contains(&meta.sequence));
            let hides = |meta: &&CommitMeta| {
                let hidden = meta.obsolete.iter();
                let mut hidden = hidden.filter(|table| !dead.contains_key(table));
                let is_older = |older: &SequenceNumber| *older < meta.sequence;
                hidden.any(|table| described.get(table).is_some_and(is_older))
            };
            let before = stays.len();
            stays.extend(metas.iter().filter(hides).map(|meta| meta.sequence));
            if stays.len() == before {
                break;
            }
        }
        self.state.metas.retain(|meta| stays.contains(&meta.sequence));
    }
}

/// For each table that one of the meta files names obsolete, the oldest of those that `counts`
/// which describes it. The meta files come the oldest first.
fn oldest_descriptions(
    metas: &[CommitMeta],
    counts: impl Fn(&CommitMeta) -> bool,
) -> BTreeMap<SequenceNumber, SequenceNumber> {
    let counted: Vec<_> = metas.iter().filter(|meta| counts(meta)).collect();
    let named: BTreeSet<_> = metas.iter().flat_map(|meta| &meta.obsolete).copied().collect();
    let oldest_of = |table: SequenceNumber| {
        let meta = counted.iter().find(|meta| meta.describes(table))?;
        Some((table, meta.sequence))
    };
    named.into_iter().filter_map(oldest_of).collect()
}

/// With fewer live meta files of a family than this, describing tables again would gain nothing.
const FEW_META_FILES: usize = 8;

/// Number of bytes of `CURRENT` that are read at most.
const LONGEST_CURRENT: u64 = 64;

/// The commit point of a directory; `None` if there is no `CURRENT`.
pub(crate) fn read_current(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Option<Current>, PublishError> {
    let path = directory.join(CURRENT_FILE_NAME);
    let file = match MetaReader::open(file_system, &path) {
        Ok(file) => file,
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // In every revision, the first bytes of a `CURRENT` tell the revision, so the rest need not be
    // read.
    let bytes = file.read(0..file.len.min(LONGEST_CURRENT))?;
    match Current::parse(&bytes, crc32fast::hash) {
        Err(FormatError::UnknownRevision { looks_like_json, .. }) => {
            let source = FormatError::UnknownRevision { len: file.len, looks_like_json };
            Err(PublishError::Format { path, source })
        }
        Ok(current) if current.is_protected => Ok(Some(current)),
        Ok(_) => Err(PublishError::Unprotected { path }),
        Err(source) => Err(PublishError::Format { path, source }),
    }
}
