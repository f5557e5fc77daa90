//! A hash map in memory: the reference for the fastest possible lookups.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use sst_writer::table::hash_key;

use crate::store::{BenchError, Contender, OpenStore, Session, Store};
use crate::workload::Data;

/// Keys and values stay in the buffers of the workload, and a hash map finds them.
pub struct InMemory;

impl Contender for InMemory {
    fn name(&self) -> &'static str {
        "HashMap"
    }

    fn setup(&self) -> &'static str {
        "std's HashMap from key to value, both borrowed; hashed with XXH3; no files"
    }

    fn is_cached(&self) -> bool {
        false
    }

    fn has_files(&self) -> bool {
        false
    }

    fn build(&self, data: &Data, _: &Path) -> Result<(), BenchError> {
        drop(Map::new(data));
        Ok(())
    }

    fn open<'d>(
        &self,
        data: &'d Data,
        _: &Path,
        _: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        Ok(Box::new(Map::new(data)))
    }
}

struct Map<'d>(HashMap<&'d [u8], &'d [u8], Xxh3>);

impl<'d> Map<'d> {
    fn new(data: &'d Data) -> Self {
        let mut map = HashMap::with_capacity_and_hasher(data.entries(), Xxh3);
        map.extend(data.iter().map(|row| (row.key, row.value)));
        Self(map)
    }
}

impl OpenStore for Map<'_> {
    type Session<'a>
        = &'a Self
    where
        Self: 'a;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(self)
    }
}

impl Session for &Map<'_> {
    #[inline]
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.0.get(key) {
            visit(value);
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        self.0.iter().for_each(|(key, value)| visit(key, value));
        Ok(true)
    }
}

/// Hashes a key in one call, like our reader.
#[derive(Clone, Copy, Default)]
struct Xxh3;

impl BuildHasher for Xxh3 {
    type Hasher = OneShot;

    fn build_hasher(&self) -> OneShot {
        OneShot(0)
    }
}

struct OneShot(u64);

impl Hasher for OneShot {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash_key(bytes);
    }

    /// The length of the key is not hashed: it would add nothing to the hash of the bytes.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
