//! Walking the tables of a set in one order.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use super::layer_cursor::LayerCursor;
use super::{SetIter, SstSet, Tournament};
use crate::{EntryRef, FileLabel, IterEntry, ReadError};

/// A position in the live entries of a set that moves forward, in (hash, key) order. It starts
/// before the first entry.
///
/// It has one table of each layer of disjoint tables open at a time, and what a
/// [`Cursor`](crate::Cursor) has in memory for each of them: of 10,000 tables side by side, one.
/// With [`ReaderOptions::max_open_files`](crate::ReaderOptions::max_open_files) they are closed
/// again behind it.
///
/// [`SetCursor::next`] lends entries: nothing is copied or counted for an entry. [`SetIter`] hands
/// them out, to be kept.
///
/// Values in blob files come as their number: [`SstSet::read_blob`] reads them.
///
/// ```no_run
/// use sst_reader::{ReaderOptions, SstSet};
///
/// let set = SstSet::open("unicode.db", &ReaderOptions::default())?;
/// let mut cursor = set.cursor();
/// while let Some(entry) = cursor.next()? {
///     let key = entry.key;
///     println!("{key:?} {:?}", entry.into_value()?);
/// }
/// # Ok::<(), sst_reader::ReadError>(())
/// ```
pub struct SetCursor<'a> {
    /// One for each layer, the newest first. Empty before the first step, and at the end.
    layers: Vec<LayerCursor<'a>>,
    is_started: bool,
    /// Whether tombstones are entries too.
    with_tombstones: bool,
    values: Values,
    /// Which layer has the next entry. Not used if there is one only.
    tournament: Tournament,
    /// The key that the cursor stands on; `None` before the first.
    current: Option<CurrentKey>,
    set: &'a SstSet,
    hashes: RangeInclusive<u64>,
}

/// Which entries of a key are returned if several tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Those of the newest table that knows it.
    Newest,
    /// Those of all tables down to one with a tombstone.
    All,
}

/// The state of the key of the last entry that the cursor came to.
#[derive(Clone, Copy)]
struct CurrentKey {
    hash: u64,
    /// The layer of that entry.
    layer: usize,
    /// The oldest layer of which entries of the key count.
    oldest: usize,
}

impl<'a> SetCursor<'a> {
    pub(super) fn new(set: &'a SstSet, hashes: RangeInclusive<u64>, values: Values) -> Self {
        let shown = set.catalog().hashes();
        let hashes = *hashes.start().max(&shown.min)..=*hashes.end().min(&shown.max);
        Self {
            layers: Vec::new(),
            is_started: false,
            with_tombstones: false,
            values,
            tournament: Tournament::default(),
            current: None,
            set,
            hashes,
        }
    }

    /// Gives tombstones too.
    pub(super) fn with_tombstones(mut self) -> Self {
        self.with_tombstones = true;
        self
    }

    /// Moves to the next entry and lends it. `None` behind the last one.
    ///
    /// The value is not looked at before [`EntryRef::into_value`] asks for it.
    ///
    /// O(log layers) for each entry of the tables on the way; O(1) where the entry comes from the
    /// same layer as the one before.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a table cannot be read or is damaged. The cursor is then at its end.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match self.step() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(self.fail(error)),
        }
        // The layers stay in any case, since the entry would be lent from one of them.
        let entry = match (&mut self.layers[..], self.current) {
            ([layer], _) => {
                // Its cursor has ended itself if this is an error.
                let entry = layer.lend_stepped();
                return entry.map_err(|error| self.set.catalog().outdated_or(error));
            }
            (layers, Some(CurrentKey { layer, .. })) => match layers.get_mut(layer) {
                Some(layer) => layer.lend().map(Some),
                None => Err(no_layer(self.set)),
            },
            (_, None) => Err(no_layer(self.set)),
        };
        entry.map_err(|error| {
            // The walk is at its end, as after `fail`: no layer has a next entry.
            self.tournament = Tournament::default();
            self.current = None;
            self.set.catalog().outdated_or(error)
        })
    }

    /// Moves to the next entry and gives it, to be kept.
    #[inline(always)]
    pub(super) fn next_owned(&mut self) -> Option<Result<IterEntry<'a>, ReadError>> {
        match self.step() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(self.fail(error))),
        }
        let entry = match (&mut self.layers[..], self.current) {
            // Not looked at here, since it would be copied. After an error its cursor has ended
            // itself.
            ([layer], _) => return layer.owned_entry(true),
            (layers, Some(CurrentKey { layer, .. })) => match layers.get_mut(layer) {
                Some(layer) => layer.owned_entry(false),
                None => Some(Err(no_layer(self.set))),
            },
            (_, None) => Some(Err(no_layer(self.set))),
        };
        if matches!(entry, Some(Err(_))) {
            // That ends the walk, as in `fail`.
            self.layers.clear();
        }
        entry
    }

    /// Moves to the next entry that counts. `false` behind the last one.
    #[inline(always)]
    fn step(&mut self) -> Result<bool, ReadError> {
        match &mut self.layers[..] {
            // A set of one layer is walked in the way of its table.
            [layer] => {
                if layer.step_in_live_block() {
                    return Ok(true);
                }
                self.step_slowly()
            }
            [_, _, ..] => self.step_merging(),
            [] => self.step_slowly(),
        }
    }

    /// [`SetCursor::step`] of a walk that has not begun, and of a single layer where that changes
    /// from one block or table to the next, or may be at a tombstone.
    #[inline(never)]
    fn step_slowly(&mut self) -> Result<bool, ReadError> {
        match &mut self.layers[..] {
            // Newer entries of the same table hide none: there is no order to be found out.
            [layer] => layer.step(self.with_tombstones),
            _ if !self.is_started => self.start(),
            _ => self.step_merging(),
        }
    }

    /// Ends the walk because of an error, and gives the error for the caller.
    #[cold]
    fn fail(&mut self, error: ReadError) -> ReadError {
        self.layers.clear();
        self.is_started = true;
        self.set.catalog().outdated_or(error)
    }

    /// Opens the first table of each layer, and makes the first step.
    #[cold]
    fn start(&mut self) -> Result<bool, ReadError> {
        self.is_started = true;
        let (set, hashes) = (self.set, &self.hashes);
        let layers = set.layers().iter();
        let cursor = |layer| LayerCursor::new(set, layer, hashes.clone());
        self.layers = layers.map(cursor).collect::<Result<_, _>>()?;
        if self.layers.len() < 2 {
            return if self.layers.is_empty() { Ok(false) } else { self.step_slowly() };
        }
        let first_hashes: Vec<_> =
            self.layers.iter_mut().map(LayerCursor::advance).collect::<Result<_, _>>()?;
        let compare = |a, b| compare_keys(set, &self.layers, a, b);
        self.tournament = Tournament::new(&first_hashes, compare)?;
        self.step_merging()
    }

    /// Moves to the next entry that counts of several layers.
    #[inline(never)]
    fn step_merging(&mut self) -> Result<bool, ReadError> {
        let set = self.set;
        loop {
            if let Some(CurrentKey { layer, .. }) = self.current {
                let Some(layer) = self.layers.get_mut(layer) else {
                    // An ended walk has no layers.
                    return if self.layers.is_empty() { Ok(false) } else { Err(no_layer(set)) };
                };
                let hash = layer.advance()?;
                let compare = |a, b| compare_keys(set, &self.layers, a, b);
                self.tournament.replace(hash, compare)?;
            }
            let Some((layer, hash)) = self.tournament.winner() else {
                self.layers.clear();
                return Ok(false);
            };
            if self.comes_to(layer, hash)? {
                return Ok(true);
            }
        }
    }

    /// Takes note of the entry on which a layer stands. Returns whether it is one to be lent.
    #[inline]
    fn comes_to(&mut self, layer: usize, hash: u64) -> Result<bool, ReadError> {
        let oldest = match self.current {
            Some(current) if current.hash == hash && self.repeats_key(current.layer, layer)? => {
                current.oldest
            }
            _ if self.values == Values::All => usize::MAX,
            _ => layer,
        };
        let current = self.current.insert(CurrentKey { hash, layer, oldest });
        if layer > oldest {
            return Ok(false);
        }
        match self.layers.get(layer) {
            Some(entry) if entry.is_tombstone()? => {
                current.oldest = layer;
                Ok(self.with_tombstones)
            }
            Some(_) => Ok(true),
            None => Err(no_layer(self.set)),
        }
    }

    /// Whether the entry on which `layer` stands has the key of the entry that `last` has left.
    #[cold]
    fn repeats_key(&self, last: usize, layer: usize) -> Result<bool, ReadError> {
        match (self.layers.get(last), self.layers.get(layer)) {
            (Some(last), Some(layer)) => Ok(last.previous_key()? == layer.key()?),
            _ => Err(no_layer(self.set)),
        }
    }
}

/// The order of the keys on which two layers stand.
fn compare_keys(
    set: &SstSet,
    layers: &[LayerCursor<'_>],
    a: usize,
    b: usize,
) -> Result<Ordering, ReadError> {
    match (layers.get(a), layers.get(b)) {
        (Some(a), Some(b)) => Ok(a.key()?.cmp(b.key()?)),
        _ => Err(no_layer(set)),
    }
}

/// The error of a layer that is not there.
#[cold]
fn no_layer(set: &SstSet) -> ReadError {
    ReadError::internal(&FileLabel::new(&set.catalog().dir), "a walk stands on one of its layers")
}

impl<'a> From<SetIter<'a>> for SetCursor<'a> {
    fn from(iter: SetIter<'a>) -> Self {
        iter.into_cursor()
    }
}
