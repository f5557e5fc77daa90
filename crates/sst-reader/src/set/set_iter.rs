//! Walking the tables of a set in one order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use super::SstSet;
use super::layer_cursor::LayerCursor;
use crate::{EntryValue, IterEntry, ReadError, Slice};

/// The cursor of a layer with hash and key of its current entry, which order it among the others.
struct LayerHead<'a> {
    hash: u64,
    key: Slice<'a>,
    /// Number of the layer: 0 for the newest.
    age: usize,
    cursor: LayerCursor<'a>,
}

impl LayerHead<'_> {
    fn order(&self) -> (u64, &[u8], usize) {
        (self.hash, &self.key, self.age)
    }
}

impl PartialEq for LayerHead<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for LayerHead<'_> {}

impl PartialOrd for LayerHead<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LayerHead<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// Iterator over the live entries of a set in (hash, key) order. It ends after the first error.
///
/// It has one table of each layer of disjoint tables open at a time: of 10,000 tables side by side,
/// one. With [`ReaderOptions::max_open_files`](crate::ReaderOptions::max_open_files) they are
/// closed again behind it.
///
/// Values in blob files come as their number: [`SstSet::read_blob`] reads them.
pub struct SetIter<'a> {
    set: &'a SstSet,
    hashes: RangeInclusive<u64>,
    values: Values,
    /// Whether tombstones are entries too.
    with_tombstones: bool,
    started: bool,
    heap: BinaryHeap<Reverse<LayerHead<'a>>>,
    current: Option<Current<'a>>,
}

/// Which entries of a key count that several tables know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Those of the newest table that knows it.
    Newest,
    /// Those of all tables down to one with a tombstone.
    All,
}

/// The key last seen.
struct Current<'a> {
    hash: u64,
    key: Slice<'a>,
    /// Age of the oldest layer whose entries count.
    oldest: usize,
}

impl<'a> Current<'a> {
    /// The current key, which is `key` from now on. `age` is that of its newest entry if it is new.
    fn of<'c>(
        current: &'c mut Option<Self>,
        values: Values,
        (hash, key): (u64, Slice<'a>),
        age: usize,
    ) -> &'c mut Self {
        let oldest = match current.take_if(|known| known.hash == hash && known.key == key) {
            Some(known) => known.oldest,
            None if values == Values::All => usize::MAX,
            None => age,
        };
        current.insert(Self { hash, key, oldest })
    }
}

impl<'a> SetIter<'a> {
    pub(super) fn new(set: &'a SstSet, hashes: RangeInclusive<u64>, values: Values) -> Self {
        let shown = set.catalog().scope().hashes;
        let hashes = *hashes.start().max(&shown.min)..=*hashes.end().min(&shown.max);
        Self {
            set,
            hashes,
            values,
            with_tombstones: false,
            started: false,
            heap: BinaryHeap::new(),
            current: None,
        }
    }

    /// Gives tombstones too, as entries with the value [`EntryValue::Deleted`].
    pub(super) fn with_tombstones(mut self) -> Self {
        self.with_tombstones = true;
        self
    }

    fn start(&mut self) -> Result<(), ReadError> {
        for (age, layer) in self.set.layers().iter().enumerate() {
            self.push(age, LayerCursor::new(self.set, layer, self.hashes.clone()))?;
        }
        Ok(())
    }

    fn push(&mut self, age: usize, mut cursor: LayerCursor<'a>) -> Result<(), ReadError> {
        if let Some((hash, key)) = cursor.next_key()? {
            self.heap.push(Reverse(LayerHead { hash, key, age, cursor }));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        if !std::mem::replace(&mut self.started, true) {
            self.start()?;
        }
        while let Some(Reverse(head)) = self.heap.pop() {
            let LayerHead { hash, key, age, mut cursor } = head;
            let current = Current::of(&mut self.current, self.values, (hash, key), age);
            let entry = if age <= current.oldest { Some(cursor.current_entry()?) } else { None };
            if entry.as_ref().is_some_and(|entry| entry.value == EntryValue::Deleted) {
                current.oldest = age;
            }
            self.push(age, cursor)?;
            let is_given =
                |entry: &IterEntry<'_>| self.with_tombstones || entry.value != EntryValue::Deleted;
            if let Some(entry) = entry.filter(is_given) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Result<IterEntry<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.step();
        if entry.is_err() {
            self.heap.clear();
            self.started = true;
        }
        entry.map_err(|error| self.set.catalog().outdated_or(error)).transpose()
    }
}
