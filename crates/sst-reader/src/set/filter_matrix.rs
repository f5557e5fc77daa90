//! The filters of many layers, turned by 90 degrees.
//!
//! A lookup of a missing key asks the filter of every layer: for a thousand layers a thousand
//! questions, each of which waits for memory of its own. Here the fingerprints of up to 64 layers
//! are in one table of bits with a column for each layer: two words tell which of the 64 may hold a
//! hash. This is a Bloom filter per layer, stored row by row, as in bit-sliced signature files.
//!
//! It only saves questions. A layer that it does not rule out is asked as before, its own filter
//! first, and so is a layer whose fingerprints are not in it: one of several tables, one without a
//! filter or with a large one, or one that was not asked often enough yet.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sst_format::filter::Fingerprints;

use super::layer::Layer;
use super::set_table::OpenedTable;

/// Fewer layers are asked one after the other.
const MIN_LAYERS: usize = 16;

/// Columns of a group: the bits of a word.
const COLUMNS: usize = 64;

/// Groups whose rows are looked at before the first of their layers is asked, so that the waits for
/// their memory overlap.
const GROUPS_AT_ONCE: usize = 16;

/// Longest filter in bytes that is taken into a matrix, of some 200,000 fingerprints: longer ones
/// would make one lookup wait for milliseconds. Sets have few tables of that size.
const MAX_FILTER_LEN: u64 = 256 << 10;

/// A filter of this many bytes is taken in after its layer was asked once, one of twice as many
/// after two times, and so on: taking a filter in takes some 200 times as long as asking it per
/// KiB.
const LEN_PER_QUESTION: u64 = 16;

/// Rows for each fingerprint of a layer, at least. Of a layer with 9 to 18 rows for each, one hash
/// in 25 to 90 that it does not hold is not ruled out.
const ROWS_PER_FINGERPRINT: usize = 9;

/// Most rows of a group, in bits: 16 MiB.
const MAX_ROW_BITS: u32 = 21;

/// The layers of a set, in groups.
pub(super) struct FilterMatrix {
    /// Groups of newer layers first.
    groups: Vec<GroupOfSet>,
}

/// A group, and where its layers are among those of the set.
struct GroupOfSet {
    /// Index of its first layer.
    first: usize,
    group: Arc<Group>,
}

/// Up to [`COLUMNS`] neighbouring layers, shared by the sets that have all of them.
struct Group {
    columns: Box<[Column]>,
    /// Made for the first filter; `None` if the system has no memory for it.
    rows: OnceLock<Option<Rows>>,
    /// The columns whose fingerprints are in the rows.
    filled: AtomicU64,
}

/// A layer of a group.
struct Column {
    /// The table of a layer of one table.
    table: Option<Arc<OpenedTable>>,
    /// Length of the table's filter in bytes.
    filter_len: u64,
    /// How often the layer was asked while its column was not filled.
    asked: AtomicU32,
    /// Whether its filter was taken in, or cannot be.
    is_decided: AtomicBool,
}

/// The bits: word `i` has those of row `i`.
struct Rows {
    /// How many of the lowest bits of a hash decide about its rows.
    hash_bits: u32,
    /// The number of rows is two to the power of this.
    row_bits: u32,
    words: Box<[AtomicU64]>,
}

/// The layers of a group that may hold a hash.
#[derive(Clone, Copy, Default)]
struct Candidates(u64);

impl FilterMatrix {
    /// A matrix for these layers, newest first, if they are enough to gain by it. Shares the groups
    /// that `known`, the matrix of an earlier commit, has too.
    pub(super) fn new(layers: &[Layer], known: Option<&Self>) -> Option<Self> {
        if layers.len() < MIN_LAYERS {
            return None;
        }
        let mut first = layers.len();
        // From the oldest layers on, so that groups stay the same when a commit adds a layer.
        let groups = layers.rchunks(COLUMNS).map(|layers| {
            first -= layers.len();
            let known =
                known.and_then(|known| known.groups.iter().find(|it| it.group.is_of(layers)));
            let group = match known {
                Some(known) => Arc::clone(&known.group),
                None => Arc::new(Group::new(layers)),
            };
            GroupOfSet { first, group }
        });
        let mut groups: Vec<_> = groups.collect();
        groups.reverse();
        Some(Self { groups })
    }

    /// Shows the index of each layer that may hold `hash` to `ask`, newest first, until that gives
    /// an answer.
    #[inline]
    pub(super) fn ask_layers<T, E>(
        &self,
        hash: u64,
        mut ask: impl FnMut(usize) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        for groups in self.groups.chunks(GROUPS_AT_ONCE) {
            let mut candidates = [Candidates::default(); GROUPS_AT_ONCE];
            for (GroupOfSet { group, .. }, candidates) in groups.iter().zip(&mut candidates) {
                *candidates = group.candidates(hash);
            }
            for (GroupOfSet { first, group }, candidates) in groups.iter().zip(candidates) {
                for column in candidates {
                    let answer = ask(first + column as usize)?;
                    group.asked(column);
                    if answer.is_some() {
                        return Ok(answer);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes in the filters of all layers that are open.
    pub(super) fn fill(&self) {
        for GroupOfSet { group, .. } in &self.groups {
            (0..u64::BITS).for_each(|column| group.fill(column));
        }
    }
}

impl Group {
    fn new(layers: &[Layer]) -> Self {
        let column = |layer: &Layer| Column {
            table: layer.only_table().map(|table| Arc::clone(table.opened())),
            // A layer of several tables is never taken in.
            filter_len: layer.only_table().map_or(0, |table| table.described().filter_len()),
            asked: AtomicU32::new(0),
            is_decided: AtomicBool::new(false),
        };
        Self {
            columns: layers.iter().map(column).collect(),
            rows: OnceLock::new(),
            filled: AtomicU64::new(0),
        }
    }

    /// Whether these are its layers.
    fn is_of(&self, layers: &[Layer]) -> bool {
        let is_same = |column: &Column, layer: &Layer| match (&column.table, layer.only_table()) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other.opened()),
            (None, None) => true,
            _ => false,
        };
        self.columns.len() == layers.len()
            && self.columns.iter().zip(layers).all(|(column, layer)| is_same(column, layer))
    }

    /// The layers that may hold `hash`.
    #[inline]
    fn candidates(&self, hash: u64) -> Candidates {
        let all = match self.columns.len() {
            COLUMNS => u64::MAX,
            columns => (1 << columns) - 1,
        };
        // Its fingerprints are in the rows before a column counts as filled.
        let filled = self.filled.load(Ordering::Acquire);
        match self.rows.get() {
            Some(Some(rows)) if filled != 0 => Candidates((rows.columns_of(hash) | !filled) & all),
            _ => Candidates(all),
        }
    }

    /// Counts that a layer was asked.
    #[inline]
    fn asked(&self, column: u32) {
        if self.filled.load(Ordering::Relaxed) >> column & 1 == 0 {
            self.asked_unfilled(column);
        }
    }

    /// Takes the layer's filter in if it was asked often enough.
    #[cold]
    #[inline(never)]
    fn asked_unfilled(&self, column: u32) {
        // No layer is asked that has no column.
        let Some(Column { table: Some(_), filter_len, asked, is_decided }) =
            self.columns.get(column as usize)
        else {
            return;
        };
        if is_decided.load(Ordering::Relaxed) {
            return;
        }
        let wanted = filter_len / LEN_PER_QUESTION;
        if u64::from(asked.fetch_add(1, Ordering::Relaxed)) >= wanted {
            self.fill(column);
        }
    }

    /// Takes in the filter of a layer, if it is open and can be.
    fn fill(&self, column: u32) {
        // Layers of several tables are never taken in.
        let Some(Column { table: Some(table), filter_len, is_decided, .. }) =
            self.columns.get(column as usize)
        else {
            return;
        };
        // One that is not open is taken in later.
        let Some(filter) = table.filter() else { return };
        if is_decided.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(filter) = filter
            && *filter_len <= MAX_FILTER_LEN
            && let Some(fingerprints) = filter.fingerprints()
            && let Some(rows) = self.rows.get_or_init(|| Rows::new(&fingerprints))
            && rows.add(column, &fingerprints)
        {
            self.filled.fetch_or(1 << column, Ordering::Release);
        }
    }
}

impl Rows {
    /// Rows for filters of about this many fingerprints, of as many bits or more.
    fn new(fingerprints: &Fingerprints) -> Option<Self> {
        let wanted = fingerprints.values.len().max(1).saturating_mul(ROWS_PER_FINGERPRINT);
        let row_bits = wanted.checked_next_power_of_two()?.ilog2().min(MAX_ROW_BITS);
        let mut words = Vec::new();
        words.try_reserve_exact(1 << row_bits).ok()?;
        words.resize_with(1 << row_bits, AtomicU64::default);
        // A filter half as long has one bit less.
        let hash_bits = fingerprints.bits.saturating_sub(1).clamp(1, u64::BITS - 1);
        Some(Self { hash_bits, row_bits, words: words.into() })
    }

    /// The two rows of a hash.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a row has at most 21 bits")]
    fn rows_of(&self, hash: u64) -> [usize; 2] {
        // The multiplication spreads the bits that count over the highest bits.
        let spread = (hash << (u64::BITS - self.hash_bits)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let spread = (spread ^ (spread >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        // The highest bits, at most 21.
        let row = |bits: u64| (bits >> (u64::BITS - self.row_bits)) as u32 as usize;
        [row(spread), row(spread << self.row_bits)]
    }

    #[inline]
    fn word(&self, row: usize) -> Option<&AtomicU64> {
        self.words.get(row)
    }

    /// The filled columns that may hold `hash`, and any that are not filled.
    #[inline]
    fn columns_of(&self, hash: u64) -> u64 {
        let [one, other] = self.rows_of(hash);
        // A row that is not there rules nothing out.
        let columns = |row| self.word(row).map_or(u64::MAX, |word| word.load(Ordering::Relaxed));
        columns(one) & columns(other)
    }

    /// Sets the bits of a column. False if the fingerprints are too short to tell their rows.
    fn add(&self, column: u32, fingerprints: &Fingerprints) -> bool {
        if fingerprints.bits < self.hash_bits {
            return false;
        }
        for fingerprint in &fingerprints.values {
            for row in self.rows_of(*fingerprint) {
                sst_format::planted!("column-half-filled" => if row % 8 == 0 { continue; });
                let Some(word) = self.word(row) else { return false };
                word.fetch_or(1 << column, Ordering::Relaxed);
            }
        }
        true
    }
}

impl Iterator for Candidates {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let column = self.0.trailing_zeros();
        self.0 &= self.0.checked_sub(1)?;
        Some(column)
    }
}
