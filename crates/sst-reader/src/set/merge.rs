//! Walking several tables in one order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::SstSet;
use crate::{Cursor, EntryValue, IterEntry, ReadError, Slice};

/// A cursor with its current entry's place in the order.
struct Source<'a> {
    hash: u64,
    key: Slice<'a>,
    /// 0 for the newest table.
    age: usize,
    cursor: Cursor<'a>,
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
/// Of a key that several tables know, the newest table's entries are given, all of them if it has more than one, and
/// none that a tombstone hides. Values in blob files come as their number: [`SstSet::read_blob`] reads them.
pub struct SetIter<'a> {
    set: &'a SstSet,
    started: bool,
    heap: BinaryHeap<Reverse<Source<'a>>>,
    /// The key last seen, and the age of the table whose entries of it count.
    current: Option<(u64, Slice<'a>, usize)>,
}

impl<'a> SetIter<'a> {
    pub(super) fn new(set: &'a SstSet) -> Self {
        Self { set, started: false, heap: BinaryHeap::new(), current: None }
    }

    fn start(&mut self) -> Result<(), ReadError> {
        for (age, table) in self.set.tables_by_age().enumerate() {
            self.push(age, table.cursor())?;
        }
        Ok(())
    }

    fn push(&mut self, age: usize, mut cursor: Cursor<'a>) -> Result<(), ReadError> {
        if cursor.advance()? {
            let (hash, key) = (cursor.hash(), cursor.owned_key()?);
            self.heap.push(Reverse(Source { hash, key, age, cursor }));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        if !std::mem::replace(&mut self.started, true) {
            self.start()?;
        }
        while let Some(Reverse(source)) = self.heap.pop() {
            let Source { hash, key, age, mut cursor } = source;
            let counts = match &self.current {
                Some((h, k, newest)) if *h == hash && *k == key => *newest == age,
                _ => {
                    self.current = Some((hash, key.clone(), age));
                    true
                }
            };
            let entry = if counts { Some(cursor.owned_entry()?) } else { None };
            self.push(age, cursor)?;
            if let Some(entry) = entry.filter(|entry| entry.value != EntryValue::Deleted) {
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
        entry.transpose()
    }
}
