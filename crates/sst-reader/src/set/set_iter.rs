//! Walking the tables of a set in one order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use super::SstSet;
use super::layer_cursor::LayerCursor;
use crate::{EntryValue, IterEntry, ReadError, Slice};

/// The cursor of a layer with its current entry's place in the order.
struct Source<'a> {
    hash: u64,
    key: Slice<'a>,
    /// Number of the layer: 0 for the newest.
    age: usize,
    cursor: LayerCursor<'a>,
}

impl Source<'_> {
    fn place(&self) -> (u64, &[u8], usize) {
        (self.hash, &self.key, self.age)
    }
}

impl PartialEq for Source<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Source<'_> {}

impl PartialOrd for Source<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Source<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// Iterator over the live entries of a set in (hash, key) order. It ends after the first error.
///
/// It has one table of each layer of disjoint tables open at a time: of 10,000 tables side by side, one. With
/// [`ReaderOptions::max_open_files`](crate::ReaderOptions::max_open_files) they are closed again behind it.
///
/// Values in blob files come as their number: [`SstSet::read_blob`] reads them.
pub struct SetIter<'a> {
    set: &'a SstSet,
    hashes: RangeInclusive<u64>,
    values: Values,
    started: bool,
    heap: BinaryHeap<Reverse<Source<'a>>>,
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

impl<'a> SetIter<'a> {
    pub(super) fn new(set: &'a SstSet, hashes: RangeInclusive<u64>, values: Values) -> Self {
        Self { set, hashes, values, started: false, heap: BinaryHeap::new(), current: None }
    }

    fn start(&mut self) -> Result<(), ReadError> {
        for (age, layer) in self.set.layers().iter().enumerate() {
            self.push(age, LayerCursor::new(self.set, layer, self.hashes.clone()))?;
        }
        Ok(())
    }

    fn push(&mut self, age: usize, mut cursor: LayerCursor<'a>) -> Result<(), ReadError> {
        if let Some((hash, key)) = cursor.next_key()? {
            self.heap.push(Reverse(Source { hash, key, age, cursor }));
        }
        Ok(())
    }

    /// The oldest layer whose entries of this key count.
    fn oldest_of(&mut self, hash: u64, key: &Slice<'a>, age: usize) -> usize {
        match &self.current {
            Some(current) if current.hash == hash && current.key == *key => current.oldest,
            _ => {
                let oldest = if self.values == Values::All { usize::MAX } else { age };
                self.current = Some(Current { hash, key: key.clone(), oldest });
                oldest
            }
        }
    }

    fn step(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        if !std::mem::replace(&mut self.started, true) {
            self.start()?;
        }
        while let Some(Reverse(source)) = self.heap.pop() {
            let Source { hash, key, age, mut cursor } = source;
            let counts = age <= self.oldest_of(hash, &key, age);
            let entry = if counts { cursor.owned_entry()? } else { None };
            self.push(age, cursor)?;
            match entry {
                Some(entry) if entry.value == EntryValue::Deleted => {
                    if let Some(current) = &mut self.current {
                        current.oldest = age;
                    }
                }
                Some(entry) => return Ok(Some(entry)),
                None => {}
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
        entry.transpose()
    }
}
