//! A live meta file of a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use sst_format::file_name::{FileKind, FileName};
use sst_format::live::DescribesTables;
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::{HashRange, ListedMeta};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::publish::meta_state::{DescriptionSize, MetaState, TableState};

/// A live meta file of a commit, and which of its descriptions are live as of that commit.
///
/// It is the newest of the commit, describes at least one live table, or hides a description in an
/// older meta file.
///
/// A commit keeps most meta files of the one before, so commits share what the file says. A commit
/// of one table beside ten thousand copies no description.
#[derive(Clone, Debug)]
pub(crate) struct CommitMeta {
    shared: Arc<Indexed>,
    /// A range that covers the hashes of all tables that it describes or names obsolete, as the
    /// newest meta file of the commit lists it.
    pub(crate) hashes: HashRange,
    /// Of each table that it describes, whether the description is live.
    is_live: Arc<[bool]>,
}

/// A meta file, and where it speaks of a table or a blob.
#[derive(Debug)]
struct Indexed {
    state: MetaState,
    /// The tables that it describes, ascending, with the indices of their descriptions.
    tables: Vec<(SequenceNumber, usize)>,
    /// The blobs that it lists, ascending.
    blobs: Vec<BlobNumber>,
}

/// The blobs of the live tables of a meta file.
#[derive(Clone, Debug)]
pub(crate) struct LiveBlobs<'a> {
    /// Those of each live table.
    pub(crate) of_each: Vec<&'a [BlobRecord]>,
    /// Blobs to which any of the tables may refer, dead ones included.
    pub(crate) of_any: &'a [BlobRecord],
}

/// This many bytes about dead tables do not matter.
const DEAD_LEN: u64 = 2 << 10;

/// This many bytes about dead tables do not matter for each live table. With them, a head takes 64
/// bytes for each live table: FORMAT.md section 9 promises no more.
const DEAD_LEN_PER_LIVE_TABLE: u64 = 64 - DescriptionSize::TABLE;

impl Deref for CommitMeta {
    type Target = MetaState;

    fn deref(&self) -> &MetaState {
        &self.shared.state
    }
}

impl DescribesTables for CommitMeta {
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

impl From<MetaState> for CommitMeta {
    /// All descriptions count as live until the meta file becomes part of a directory's state.
    fn from(state: MetaState) -> Self {
        let numbers = state.tables.iter().map(|table| table.record.sequence);
        let mut tables: Vec<_> = numbers.zip(0..).collect();
        tables.sort_unstable();
        let mut blobs: Vec<_> = state.blobs.iter().map(|blob| blob.number).collect();
        blobs.sort_unstable();
        let is_live = state.tables.iter().map(|_| true).collect();
        Self { hashes: state.hashes, is_live, shared: Arc::new(Indexed { state, tables, blobs }) }
    }
}

impl CommitMeta {
    /// Whether another commit has the same meta file with the same live descriptions.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.is_live == other.is_live
    }

    /// Its descriptions, the oldest first, with whether they are live.
    fn descriptions(&self) -> impl Iterator<Item = (&TableState, bool)> {
        self.tables.iter().zip(self.is_live.iter().copied())
    }

    /// The tables whose description in this meta file is live.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = &TableState> {
        self.descriptions().filter_map(|(table, is_live)| is_live.then_some(table))
    }

    /// The tables whose description in this meta file is not live.
    pub(crate) fn dead_tables(&self) -> impl Iterator<Item = &TableState> {
        self.descriptions().filter_map(|(table, is_live)| (!is_live).then_some(table))
    }

    /// The indices of the live descriptions, ascending.
    pub(crate) fn live_indices(&self) -> impl Iterator<Item = usize> {
        self.is_live.iter().enumerate().filter_map(|(index, is_live)| is_live.then_some(index))
    }

    /// Whether one of its descriptions is live.
    pub(crate) fn has_live(&self) -> bool {
        self.is_live.contains(&true)
    }

    /// The indices of its descriptions of a table: one, unless it is not of our encoder.
    fn descriptions_of(&self, table: SequenceNumber) -> impl Iterator<Item = usize> {
        let tables = &self.shared.tables;
        let from = tables.partition_point(|(number, _)| *number < table);
        let these = tables.iter().skip(from).take_while(move |(number, _)| *number == table);
        these.map(|(_, index)| *index)
    }

    /// Whether it describes a table.
    pub(crate) fn describes(&self, table: SequenceNumber) -> bool {
        self.descriptions_of(table).next().is_some()
    }

    /// Whether it has a live description of a table.
    pub(crate) fn has_live_table(&self, table: SequenceNumber) -> bool {
        let mut indices = self.descriptions_of(table);
        indices.any(|index| self.is_live.get(index) == Some(&true))
    }

    /// Whether it lists a blob.
    pub(crate) fn lists_blob(&self, blob: BlobNumber) -> bool {
        self.shared.blobs.binary_search(&blob).is_ok()
    }

    /// Sets which descriptions are live.
    pub(crate) fn set_live(&mut self, is_live: impl Fn(usize, &TableState) -> bool) {
        self.is_live =
            self.tables.iter().enumerate().map(|(index, table)| is_live(index, table)).collect();
    }

    /// Makes its live descriptions of these tables dead.
    pub(crate) fn kill<'a>(&mut self, tables: impl IntoIterator<Item = &'a SequenceNumber>) {
        let described = tables.into_iter().flat_map(|table| self.descriptions_of(*table));
        let live = described.filter(|index| self.is_live.get(*index) == Some(&true));
        let dead: BTreeSet<usize> = live.collect();
        if !dead.is_empty() {
            self.is_live = self
                .is_live
                .iter()
                .enumerate()
                .map(|(index, is_live)| *is_live && !dead.contains(&index))
                .collect();
        }
    }

    /// The files that the commit needs because of this meta file: the file itself, its live tables,
    /// and the blobs that it lists.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileName> {
        let name = |sequence, kind| FileName { sequence, kind };
        let tables = self.live_tables().map(move |it| name(it.record.sequence, FileKind::Sst));
        let blobs = self.blobs.iter().map(|it| it.number.0);
        let blobs = blobs.map(move |number| name(SequenceNumber(number), FileKind::Blob));
        tables.chain(blobs).chain([name(self.sequence, FileKind::Meta)])
    }

    /// Whether a file is among [`CommitMeta::files`]. O(log of their number).
    pub(crate) fn needs(&self, file: FileName) -> bool {
        match file.kind {
            FileKind::Sst => self.has_live_table(file.sequence),
            FileKind::Blob => self.lists_blob(BlobNumber(file.sequence.0)),
            FileKind::Meta => self.sequence == file.sequence,
            FileKind::Del => false,
        }
    }

    /// Its record in the list of a newer meta file.
    pub(crate) fn listed(&self) -> ListedMeta {
        let MetaState { sequence, checksum, family, .. } = **self;
        ListedMeta { sequence, checksum, family, hashes: self.hashes }
    }

    /// Whether its head has too many bytes about dead tables. `hides` tells whether it hides a
    /// description of a table: its other obsolete numbers say nothing any more.
    pub(crate) fn has_much_dead(&self, hides: impl Fn(SequenceNumber) -> bool) -> bool {
        let live = self.live_tables().count() as u64;
        let dead = self.tables.len() as u64 - live;
        let idle = self.obsolete.iter().filter(|table| !hides(**table)).count() as u64;
        DescriptionSize::TABLE * dead + 4 * idle > DEAD_LEN_PER_LIVE_TABLE * live + DEAD_LEN
    }

    /// The size of the descriptions of its live tables.
    pub(crate) fn live_size(&self) -> DescriptionSize {
        let sizes = self.live_tables().map(|table| (table.filter_len, table.record.block_count));
        DescriptionSize::of(sizes, self.blobs.len() as u64)
    }

    /// The blobs of its live tables, as far as it tells which tables refer to them.
    pub(crate) fn live_blobs(&self) -> Result<LiveBlobs<'_>, BrokenInvariant> {
        const COUNTED: &str = "the blobs of tables are no more than all blobs of their meta file";
        let mut rest = self.blobs.as_slice();
        let mut of_table = |index: usize| match &self.blob_counts {
            Some(counts) => {
                let count = counts.get(index).or_broken(COUNTED)?;
                let count = usize::try_from(*count).or_broken(COUNTED)?;
                let (own, others) = rest.split_at_checked(count).or_broken(COUNTED)?;
                rest = others;
                Ok(own)
            }
            // All blobs of a meta file of one table are those of the table.
            None if self.tables.len() == 1 => Ok(std::mem::take(&mut rest)),
            None => Ok(&[][..]),
        };
        let mut of_each = Vec::new();
        for (index, is_live) in self.is_live.iter().enumerate() {
            let own = of_table(index)?;
            if *is_live {
                of_each.push(own);
            }
        }
        Ok(LiveBlobs { of_each, of_any: rest })
    }

    /// The length of the files of blobs to which only its dead tables refer, in bytes.
    pub(crate) fn dead_blob_len(&self) -> Result<u64, BrokenInvariant> {
        if self.blobs.is_empty() || !self.is_live.contains(&false) {
            return Ok(0);
        }
        let LiveBlobs { of_each, of_any } = self.live_blobs()?;
        let live = of_each.into_iter().flatten().chain(of_any);
        let live: BTreeSet<_> = live.map(|blob| blob.number).collect();
        let dead = self.blobs.iter().filter(|blob| !live.contains(&blob.number));
        let dead: BTreeMap<_, _> = dead.map(|blob| (blob.number, blob.file_size)).collect();
        Ok(dead.into_values().sum())
    }
}
