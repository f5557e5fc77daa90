//! All entries of one key.

use sst_format::BlockIndex;

use crate::block::blocks::Fill;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::hash::hash_key;
use crate::table::answer::ReadValue;
use crate::table::entered_blocks::EnteredBlocks;
use crate::table::static_sorted_file::StaticSortedFile;

/// Iterator over the entries of one key, in the order in which they were written. It ends after the
/// first error.
///
/// Values in one block share it. The iterator holds what a [`Cursor`](crate::Cursor) holds.
pub struct Matches<'a, 'k> {
    table: &'a StaticSortedFile,
    /// `None` at the end.
    next: Option<NextMatch<'a>>,
    hash: u64,
    key: &'k [u8],
}

/// The entry to look at next. All entries of a key are in one key block.
pub(crate) struct NextMatch<'a> {
    block: BlockIndex,
    payload: Slice<'a>,
    entry: u32,
    entered: EnteredBlocks,
}

impl NextMatch<'_> {
    /// The same place, free of the borrow.
    pub(crate) fn into_owned(self) -> NextMatch<'static> {
        let Self { block, payload, entry, entered } = self;
        NextMatch { block, payload: payload.into_owned(), entry, entered }
    }

    /// The next entry in `table`, which it is a place of. `None` behind the last one of the key.
    pub(crate) fn step<'x>(
        &mut self,
        table: &'x StaticSortedFile,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<ReadValue<Slice<'x>>>, ReadError>
    where
        Self: 'x,
    {
        let block = self.block;
        let key_block = table.parse_key_block(block, &self.payload)?;
        if self.entry >= key_block.entry_count() {
            return Ok(None);
        }
        let corrupt = |error| table.corrupt(block, error);
        let entry = key_block.entry(self.entry).map_err(corrupt)?;
        if entry.key != key || entry.stored_hash.is_some_and(|stored| stored != hash) {
            return Ok(None);
        }
        self.entry += 1;
        let value = entry.value_ref().map_err(corrupt)?;
        let payload: &Slice<'x> = &self.payload;
        table.kept_value(block, payload, value, Fill::Cache, &mut self.entered).map(Some)
    }
}

impl StaticSortedFile {
    /// All entries of a key, in the order in which they were written; a tombstone comes last.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`]; the iterator may give them too.
    pub fn get_all<'a, 'k, K>(&'a self, key: &'k K) -> Result<Matches<'a, 'k>, ReadError>
    where
        K: AsRef<[u8]> + ?Sized,
    {
        let key = key.as_ref();
        self.lookup_all(hash_key(key), key)
    }

    /// [`StaticSortedFile::get_all`] of a key whose hash is known.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`]; the iterator may give them too.
    pub fn lookup_all<'a, 'k, K>(
        &'a self,
        hash: u64,
        key: &'k K,
    ) -> Result<Matches<'a, 'k>, ReadError>
    where
        K: AsRef<[u8]> + ?Sized,
    {
        let key = key.as_ref();
        let next = if self.is_in_range(hash) { self.first_match(hash, key)? } else { None };
        Ok(Matches { table: self, next, hash, key })
    }

    /// Where the first entry of a key is; `None` if there is none.
    pub(crate) fn first_match(
        &self,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<NextMatch<'_>>, ReadError> {
        if self.filter().is_some_and(|filter| !filter.may_contain(hash)) {
            return Ok(None);
        }
        let estimate = &self.located(hash).estimate;
        let block = estimate.block;
        let payload = self.key_block_at(estimate)?;
        let first = self.first_entry(&payload, estimate, hash, key)?.map(|(first, _)| first);
        let entered = EnteredBlocks::default();
        Ok(first.map(|entry| NextMatch { block, payload: payload.unguarded(), entry, entered }))
    }
}

impl<'a> Iterator for Matches<'a, '_> {
    type Item = Result<ReadValue<Slice<'a>>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (table, hash, key) = (self.table, self.hash, self.key);
        let entry = self.next.as_mut()?.step(table, hash, key);
        if !matches!(entry, Ok(Some(_))) {
            self.next = None;
        }
        entry.transpose()
    }
}
