//! Data to measure with.

use std::cmp::Ordering;

use sst_writer::hash_key;

use crate::random::Random;

/// A number of entries of one shape: random keys, values of which half is random and half repeats.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its letter.
    pub name: &'static str,
    /// Number of entries.
    pub entries: usize,
    /// Length of each key in bytes.
    pub key_len: usize,
    /// Length of each value in bytes.
    pub value_len: usize,
}

/// The workloads with made-up data, as docs/PERFORMANCE.md names them.
pub const WORKLOADS: [Workload; 6] = [
    // Fits into the second-level cache: what the code costs when no memory is waited for.
    Workload { name: "small", entries: 10_000, key_len: 16, value_len: 8 },
    Workload { name: "a", entries: 1_000_000, key_len: 16, value_len: 8 },
    Workload { name: "b", entries: 1_000_000, key_len: 16, value_len: 100 },
    Workload { name: "c", entries: 200_000, key_len: 40, value_len: 1000 },
    Workload { name: "d", entries: 20_000, key_len: 20, value_len: 16 << 10 },
    Workload { name: "e", entries: 10_000_000, key_len: 16, value_len: 64 },
];

/// The entries of a workload in memory, sorted by (hash, key): keys and values back to back.
pub struct Data {
    /// The workload.
    pub workload: Workload,
    hashes: Vec<u64>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Data {
    /// Makes the entries of a workload: always the same.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        let Workload { entries, key_len, value_len, .. } = workload;
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
        Self { workload, hashes, keys, values }
    }

    /// Hash, key and value of each entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.hashes
            .iter()
            .zip(self.keys.chunks(self.workload.key_len))
            .zip(self.values.chunks(self.workload.value_len))
            .map(|((&hash, key), value)| Row { hash, key, value })
    }

    /// Key of entry `i`. Empty if there is none.
    #[must_use]
    pub fn key(&self, i: usize) -> &[u8] {
        let len = self.workload.key_len;
        self.keys.get(i * len..(i + 1) * len).unwrap_or_default()
    }

    /// Value of entry `i`. Empty if there is none.
    #[must_use]
    pub fn value(&self, i: usize) -> &[u8] {
        let len = self.workload.value_len;
        self.values.get(i * len..(i + 1) * len).unwrap_or_default()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Keys of entries in random order, as many as asked for, back to back: a caller has its key at hand, so fetching
    /// it is no part of a lookup.
    #[must_use]
    pub fn access(&self, count: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        (0..count).flat_map(|_| self.key(random.below(self.workload.entries))).copied().collect()
    }

    /// Keys of all entries, in order, back to back.
    #[must_use]
    pub fn keys(&self) -> &[u8] {
        &self.keys
    }

    /// Keys that are not in the workload, back to back.
    #[must_use]
    pub fn absent(&self, count: usize, seed: u64) -> Vec<u8> {
        // Another seed gives other keys: 16 random bytes don't come twice.
        let mut keys = vec![0; count * self.workload.key_len];
        Random::new(seed ^ 0x5eed).fill(&mut keys);
        keys
    }
}

/// One entry, ready to be added to a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Hash of the key, computed beforehand: who sorts has it.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Row<'_> {
    /// Order of entries in a table.
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

    fn value(&self) -> sst_writer::EntryValue<'_> {
        sst_writer::EntryValue::for_bytes(self.value)
            .unwrap_or(sst_writer::EntryValue::Medium(self.value))
    }
}
