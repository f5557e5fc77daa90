//! All entries of one key.

use sst_format::BlockIndex;

use crate::block::blocks::Fill;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::hash::hash_key;
use crate::table::answer::EntryValue;
use crate::table::static_sorted_file::StaticSortedFile;

/// Iterator over the entries of one key, in the order in which they were written. It ends after the
/// first error.
pub struct Matches<'a, 'k> {
    table: &'a StaticSortedFile,
    /// `None` at the end.
    next: Option<NextMatch<'a>>,
    hash: u64,
    key: &'k [u8],
}

/// The entry to look at next. All entries of a key are in one key block.
struct NextMatch<'a> {
    block: BlockIndex,
    payload: Slice<'a>,
    entry: u32,
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

    fn first_match(&self, hash: u64, key: &[u8]) -> Result<Option<NextMatch<'_>>, ReadError> {
        let Some(estimate) = self.filtered_estimate(self.filter(), hash) else { return Ok(None) };
        let block = estimate.block;
        let payload = self.blocks().payload(block, Fill::Cache)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let first = self.first_entry(&key_block, &estimate, hash, key)?;
        Ok(first.map(|entry| NextMatch { block, payload: payload.unguarded(), entry }))
    }
}

impl<'a> Matches<'a, '_> {
    fn entry(&mut self) -> Result<Option<EntryValue<Slice<'a>>>, ReadError> {
        let Some(next) = &mut self.next else { return Ok(None) };
        let key_block = self.table.parse_key_block(next.block, &next.payload)?;
        if next.entry >= key_block.entry_count() {
            return Ok(None);
        }
        let corrupt = |error| self.table.corrupt(next.block, error);
        let entry = key_block.entry(next.entry).map_err(corrupt)?;
        if entry.key != self.key || entry.stored_hash.is_some_and(|stored| stored != self.hash) {
            return Ok(None);
        }
        next.entry += 1;
        let value = entry.value_ref().map_err(|error| self.table.corrupt(next.block, error))?;
        self.table.value_of(next.block, &next.payload, value).map(Some)
    }
}

impl<'a> Iterator for Matches<'a, '_> {
    type Item = Result<EntryValue<Slice<'a>>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entry();
        if !matches!(entry, Ok(Some(_))) {
            self.next = None;
        }
        entry.transpose()
    }
}
