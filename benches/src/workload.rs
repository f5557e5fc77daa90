//! The data of the benches.

use std::cmp::Ordering;
use std::sync::OnceLock;

use sst_writer::table::hash_key;

use crate::access::Access;
use crate::random::Random;
use crate::store::Tally;
use crate::strings::Strings;

/// Entries of one shape: random keys, and values of which half is random and half is repeated
/// bytes.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Letter of the workload.
    pub name: &'static str,
    /// Number of entries.
    pub entries: usize,
    /// Length of each key in bytes.
    pub key_len: usize,
    /// Length of each value in bytes.
    pub value_len: usize,
}

/// The workloads with synthetic data, named as in docs/PERFORMANCE.md.
pub const WORKLOADS: [Workload; 5] = [
    Workload { name: "a", entries: 1_000_000, key_len: 16, value_len: 8 },
    Workload { name: "b", entries: 1_000_000, key_len: 16, value_len: 100 },
    Workload { name: "c", entries: 200_000, key_len: 40, value_len: 1000 },
    Workload { name: "d", entries: 20_000, key_len: 20, value_len: 16 << 10 },
    Workload { name: "e", entries: 10_000_000, key_len: 16, value_len: 64 },
];

impl Workload {
    /// Returns the same shape with a tenth of the entries, to check quickly that everything works.
    #[must_use]
    pub const fn quick(self) -> Self {
        Self { entries: self.entries / 10, ..self }
    }

    /// Returns a description of the shape.
    #[must_use]
    pub fn about(&self) -> String {
        format!("{} × {} + {} bytes", self.entries, self.key_len, self.value_len)
    }
}

/// Entries in memory, sorted by (hash, key). Keys and values are stored back to back.
pub struct Data {
    /// Name of the workload.
    pub name: String,
    /// Description of its shape.
    pub about: String,
    hashes: Vec<u64>,
    keys: Strings,
    values: Strings,
    by_key: OnceLock<Vec<usize>>,
}

impl Data {
    /// Creates the entries of a workload. They are the same on every call.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        let Workload { name, entries, key_len, value_len } = workload;
        let mut random = Random::new(1);
        let mut unsorted = vec![0; entries * key_len];
        unsorted.chunks_mut(key_len).for_each(|key| random.fill(key));
        let mut order: Vec<(u64, &[u8])> =
            unsorted.chunks(key_len).map(|key| (hash_key(key), key)).collect();
        order.sort_unstable();
        let hashes = order.iter().map(|(hash, _)| *hash).collect();
        let keys = order.iter().flat_map(|(_, key)| *key).copied().collect();
        let mut values = vec![0; entries * value_len];
        for value in values.chunks_mut(value_len) {
            let (half, rest) = value.split_at_mut(value_len / 2);
            random.fill(half);
            let word = random.word().to_be_bytes();
            rest.iter_mut().zip(word.iter().cycle()).for_each(|(byte, word)| *byte = *word);
        }
        Self {
            name: name.to_owned(),
            about: workload.about(),
            hashes,
            keys: Strings::fixed(keys, key_len),
            values: Strings::fixed(values, value_len),
            by_key: OnceLock::new(),
        }
    }

    /// Takes real entries in any order. If several have the same key, the last one counts.
    #[must_use]
    pub fn from_entries(name: &str, about: &str, mut entries: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        entries.reverse();
        entries.sort_by_cached_key(|(key, _)| (hash_key(key), key.clone()));
        entries.dedup_by(|later, first| later.0 == first.0);
        Self {
            name: name.to_owned(),
            about: format!("{about}: {} entries", entries.len()),
            hashes: entries.iter().map(|(key, _)| hash_key(key)).collect(),
            keys: Strings::collect(entries.iter().map(|(key, _)| key.as_slice())),
            values: Strings::collect(entries.iter().map(|(_, value)| value.as_slice())),
            by_key: OnceLock::new(),
        }
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.hashes.len()
    }

    /// Returns entry `i` in the order of hashes. The index must be in range.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a wrong index must not look like an entry")]
    pub fn row(&self, i: usize) -> Row<'_> {
        Row { hash: self.hashes[i], key: self.keys.get(i), value: self.values.get(i) }
    }

    /// Returns hash, key and value of each entry, in the order of hashes.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let entries = self.hashes.iter().zip(self.keys.iter()).zip(self.values.iter());
        entries.map(|((&hash, key), value)| Row { hash, key, value })
    }

    /// Sorts by key, and keeps the result, so that the first store that needs it does not pay for
    /// it.
    pub fn sort_by_key(&self) -> &[usize] {
        self.by_key.get_or_init(|| {
            let mut order: Vec<usize> = (0..self.entries()).collect();
            order.sort_by_key(|&i| self.keys.get(i));
            order
        })
    }

    /// Returns all entries in the order of their keys, for stores that sort by key.
    pub fn iter_by_key(&self) -> impl Iterator<Item = Row<'_>> {
        self.sort_by_key().iter().map(|&i| self.row(i))
    }

    /// Returns the keys of all entries, in the order of hashes.
    #[must_use]
    pub fn keys(&self) -> &Strings {
        &self.keys
    }

    /// Returns the number of bytes of all keys and values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.keys.byte_len() + self.values.byte_len()
    }

    /// Picks `count` keys of entries and copies them to their own buffer. A caller has its key at
    /// hand, so fetching the key is not part of a lookup.
    #[must_use]
    pub fn present(&self, access: Access, count: usize, seed: u64) -> Batch {
        let picked = access.pick(self.entries(), count, seed);
        let mut expected = Tally::default();
        picked.iter().for_each(|&i| expected.count(self.values.get(i)));
        Batch { keys: Strings::collect(picked.iter().map(|&i| self.keys.get(i))), expected }
    }

    /// Creates `count` keys that are not in the workload. Their lengths are picked from its keys,
    /// but are at least 12 bytes.
    #[must_use]
    pub fn absent(&self, count: usize, seed: u64) -> Batch {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut key = Vec::new();
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            // Random keys of at least 12 bytes don't repeat in practice.
            key.resize(self.keys.get(random.below(self.entries())).len().max(12), 0);
            random.fill(&mut key);
            keys.push(key.clone());
        }
        let keys = Strings::collect(keys.iter().map(Vec::as_slice));
        Batch { keys, expected: Tally::default() }
    }
}

/// Keys to look up, and the tally that the lookups must give.
pub struct Batch {
    /// The keys.
    pub keys: Strings,
    /// The number of present keys, and the sum over their values.
    pub expected: Tally,
}

/// One entry that can be added to a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Hash of the key, computed beforehand: a service that ingests data has it from sorting.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Row<'_> {
    /// Returns the order of two entries in a table.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        (self.hash, self.key).cmp(&(other.hash, other.key))
    }
}

impl sst_writer::Entry for Row<'_> {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        self.key.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key);
    }

    /// Computes the hash again, as the writer would do.
    #[inline]
    fn hashed_key(&self) -> Option<sst_writer::table::HashedKey<'_>> {
        Some(sst_writer::table::HashedKey::new(self.key))
    }

    #[inline]
    fn value(&self) -> sst_writer::EntryValue<'_> {
        // `Medium` makes the writer refuse a value that is too long for any kind.
        sst_writer::EntryValue::for_bytes(self.value)
            .unwrap_or(sst_writer::EntryValue::Medium(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Workload = Workload { name: "t", entries: 1000, key_len: 16, value_len: 8 };

    #[test]
    fn entries_come_in_both_orders() {
        let data = Data::new(SMALL);
        assert!(data.iter().is_sorted_by(|a, b| a.order(b).is_lt()));
        assert!(data.iter_by_key().is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(data.iter_by_key().count(), 1000);
    }

    #[test]
    fn the_last_of_several_entries_of_a_key_counts() {
        let entry = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let data =
            Data::from_entries("t", "t", vec![entry("a", "1"), entry("b", "2"), entry("a", "3")]);
        let values: Vec<_> = data.iter_by_key().map(|row| row.value.to_vec()).collect();
        assert_eq!(values, [b"3".to_vec(), b"2".to_vec()]);
    }

    #[test]
    fn absent_keys_are_absent() {
        let data = Data::new(SMALL);
        let there: std::collections::HashSet<_> = data.keys().iter().collect();
        assert!(data.absent(1000, 1).keys.iter().all(|key| !there.contains(key)));
        assert!(data.present(Access::Uniform, 1000, 1).keys.iter().all(|key| there.contains(key)));
    }
}
