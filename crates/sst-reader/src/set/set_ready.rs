//! Lookups that wait for nothing.

use super::SstSet;
use crate::hash::hash_key;
use crate::{Lookup, ReadError, Slice};

impl SstSet {
    /// [`SstSet::get`], if that needs nothing that may wait: no table has to be opened, no block
    /// read, verified or decompressed, no lock taken. `None` means that only [`SstSet::get`] knows.
    ///
    /// It is for callers that hold something meanwhile, such as a thread of an event loop: they ask
    /// here first, and let go before they ask [`SstSet::get`]. In a mapped file, a page that the
    /// system has taken out of memory since it was verified is waited for all the same. `None` for
    /// sets that count ([`ReaderOptions::statistics`](crate::ReaderOptions::statistics)), that
    /// bound their open files, as those that read files instead of mapping them do, or that have
    /// very many layers; and for values in blob files.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    #[inline]
    pub fn get_ready(&self, key: impl AsRef<[u8]>) -> Option<Result<Option<Slice<'_>>, ReadError>> {
        let key = key.as_ref();
        let hash = hash_key(key);
        if self.is_counting() || self.matrix().is_some() {
            return None;
        }
        if let Err(error) = self.check_shard(hash) {
            return Some(Err(error));
        }
        for layer in self.layers() {
            let table = match layer.table_of(hash) {
                Ok(Some(table)) => table,
                Ok(None) => continue,
                Err(uneven) => return Some(Err(uneven.in_catalog(self.catalog()))),
            };
            match table.lookup_ready(hash, key)? {
                Ok(Lookup::NotFound) => {}
                Ok(Lookup::Deleted) => return Some(Ok(None)),
                Ok(Lookup::Value(value)) => return Some(Ok(Some(value))),
                Ok(Lookup::Blob(_)) => return None,
                Err(error) => return Some(Err(self.catalog().outdated_or(error))),
            }
        }
        Some(Ok(None))
    }
}
