//! All entries of one key.

use sst_format::BlockIndex;

use crate::block::blocks::Fill;
use crate::block::slice::Payload;
use crate::{EntryValue, ReadError, Slice, StaticSortedFile};

/// Iterator over the entries of one key, in the order in which they were written. It ends after the first error.
pub struct Matches<'a, 'k> {
    table: &'a StaticSortedFile,
    /// The key block with the entries; `None` at the end.
    key_block: Option<(BlockIndex, Payload<'a>)>,
    next: u32,
    hash: u64,
    key: &'k [u8],
}

impl<'a, 'k> Matches<'a, 'k> {
    pub(crate) const fn none(table: &'a StaticSortedFile) -> Self {
        Self { table, key_block: None, next: 0, hash: 0, key: &[] }
    }

    pub(crate) const fn new(
        table: &'a StaticSortedFile,
        block: BlockIndex,
        payload: Payload<'a>,
        first: u32,
        hash: u64,
        key: &'k [u8],
    ) -> Self {
        Self { table, key_block: Some((block, payload)), next: first, hash, key }
    }

    fn entry(&mut self) -> Result<Option<EntryValue<Slice<'a>>>, ReadError> {
        let Some((block, payload)) = &self.key_block else { return Ok(None) };
        let key_block = self.table.parse_key_block(*block, payload)?;
        if self.next >= key_block.entry_count() {
            return Ok(None);
        }
        let entry = key_block.entry(self.next).map_err(|e| self.table.corrupt(*block, e))?;
        if entry.key != self.key || entry.stored_hash.is_some_and(|stored| stored != self.hash) {
            return Ok(None);
        }
        self.next += 1;
        self.table.value_of(*block, payload, &entry, Fill::Cache).map(Some)
    }
}

impl<'a> Iterator for Matches<'a, '_> {
    type Item = Result<EntryValue<Slice<'a>>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entry();
        if !matches!(entry, Ok(Some(_))) {
            self.key_block = None;
        }
        entry.transpose()
    }
}
