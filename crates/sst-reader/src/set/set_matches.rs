//! All values of one key of a set.

use std::slice;

use sst_format::BlobNumber;

use super::SstSet;
use super::layer::Layer;
use super::set_table::TableInUse;
use super::statistics::Tally;
use crate::block::kept_slices::KeptSlices;
use crate::table::matches::NextMatch;
use crate::{ReadError, ReadValue, Slice, hash_key};

/// Iterator over the values of one key: those of the newest table first, each table's in the order
/// in which they were written. It ends after the first error. See [`SstSet::get_all`].
///
/// Values in one block or one blob file share it. The iterator holds what a
/// [`Cursor`](crate::Cursor) holds, and the blobs that entries name again.
pub struct SetMatches<'s, 'k> {
    set: &'s SstSet,
    hash: u64,
    key: &'k [u8],
    /// Those behind the current one.
    layers: slice::Iter<'s, Layer>,
    current: Option<TableMatches<'s>>,
    /// Whether it is unknown yet if the directory can have the key.
    is_new: bool,
    /// The blobs that were read: each is read at most twice.
    blobs: KeptSlices<BlobNumber>,
    /// Counted when the iterator is dropped.
    tally: Tally,
}

/// The place in a table.
struct TableMatches<'s> {
    table: TableInUse<'s>,
    next: NextMatch<'s>,
}

impl SstSet {
    /// All values of a key of a multi-value table: those of the newest table first, each table's in
    /// the order in which they were written. A tombstone hides the values of older tables, not
    /// those of its own.
    ///
    /// They are read one after the other. The iterator may fail as [`SstSet::get`] does.
    #[must_use]
    pub fn get_all<'s, 'k, K>(&'s self, key: &'k K) -> SetMatches<'s, 'k>
    where
        K: AsRef<[u8]> + ?Sized,
    {
        let key = key.as_ref();
        SetMatches {
            set: self,
            hash: hash_key(key),
            key,
            layers: self.layers().iter(),
            current: None,
            is_new: true,
            blobs: KeptSlices::default(),
            tally: Tally { lookups: 1, ..Tally::default() },
        }
    }
}

impl<'s> SetMatches<'s, '_> {
    fn step(&mut self) -> Result<Option<Slice<'s>>, ReadError> {
        if std::mem::take(&mut self.is_new) {
            self.set.check_shard(self.hash)?;
        }
        loop {
            let Some(current) = &mut self.current else {
                match self.layers.next() {
                    Some(layer) => self.enter(layer)?,
                    None => return Ok(None),
                }
                continue;
            };
            match current.step(self.hash, self.key)? {
                None => self.current = None,
                Some(ReadValue::Value(value)) => return Ok(Some(value)),
                Some(ReadValue::Blob(number)) => {
                    return self.read_blob(number).map(Some);
                }
                Some(ReadValue::Deleted) => {
                    self.end();
                    return Ok(None);
                }
            }
        }
    }

    /// Looks the key up in the table of a layer that can hold it.
    fn enter(&mut self, layer: &'s Layer) -> Result<(), ReadError> {
        // A hash in a gap between the tables of a layer: the layer has nothing of the key.
        let table = layer.table_of(self.hash);
        let table = table.map_err(|uneven| uneven.in_catalog(self.set.catalog()))?;
        let Some(table) = table else { return Ok(()) };
        let opening = self.set.opening();
        if !table.may_contain(self.hash, opening)? {
            self.tally.filter_skips += 1;
            return Ok(());
        }
        self.tally.tables_asked += 1;
        let table = table.open(opening, &mut self.tally)?;
        let next = match &table {
            TableInUse::Kept(table) => table.first_match(self.hash, self.key)?,
            TableInUse::Shared(table) => {
                table.first_match(self.hash, self.key)?.map(NextMatch::into_owned)
            }
        };
        self.current = next.map(|next| TableMatches { table, next });
        Ok(())
    }

    fn read_blob(&mut self, number: BlobNumber) -> Result<Slice<'static>, ReadError> {
        if let Some(value) = self.blobs.revisit(number) {
            return Ok(value);
        }
        // Before another blob takes memory.
        self.blobs.make_room();
        let value = self.set.read_blob(number)?;
        let was_revisited = !self.blobs.see(number);
        self.blobs.keep(number, value.clone(), was_revisited);
        Ok(value)
    }

    fn end(&mut self) {
        self.layers = [].iter();
        self.current = None;
    }
}

impl<'s> TableMatches<'s> {
    fn step(&mut self, hash: u64, key: &[u8]) -> Result<Option<ReadValue<Slice<'s>>>, ReadError> {
        match &self.table {
            TableInUse::Kept(table) => self.next.step(table, hash, key),
            TableInUse::Shared(table) => {
                let value = self.next.step(table, hash, key)?;
                Ok(value.map(|value| value.map(Slice::into_owned)))
            }
        }
    }
}

impl<'s> Iterator for SetMatches<'s, '_> {
    type Item = Result<Slice<'s>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.step().map_err(|error| self.set.catalog().outdated_or(error));
        match &value {
            Ok(Some(_)) => self.tally.values = 1,
            Ok(None) => {}
            Err(_) => {
                self.tally.errors = 1;
                self.end();
            }
        }
        value.transpose()
    }
}

impl Drop for SetMatches<'_, '_> {
    fn drop(&mut self) {
        self.set.count(&self.tally);
    }
}
