//! The entries of an input, in memory: gathered in any order, then sorted and freed of duplicates.

use std::cmp::Ordering;

use sst_writer::hash_key;

use crate::cli::Duplicates;
use crate::escape::Escaped;
use crate::input::InputEntry;

/// All keys and values in one buffer, with a record of 40 bytes for each entry.
#[derive(Debug, Default)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    hash: u64,
    /// Where the key starts in the buffer; the value follows it.
    start: usize,
    line: u64,
    key_len: u32,
    /// `None` for a deletion.
    value_len: Option<u32>,
}

/// One entry, in its place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sorted<'a> {
    pub(super) hash: u64,
    /// The line it comes from.
    pub(super) line: u64,
    pub(super) key: &'a [u8],
    /// `None` for a deletion.
    pub(super) value: Option<&'a [u8]>,
}

/// A key that comes more than once where it must not: of all of them, the one whose second line comes first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DuplicateKey {
    /// The key, as text.
    pub(super) key: String,
    pub(super) first_line: u64,
    pub(super) line: u64,
}

impl Entries {
    /// Adds an entry. Lines must ascend.
    pub(super) fn push(&mut self, entry: &InputEntry) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&entry.key);
        self.bytes.extend_from_slice(&entry.value);
        // The input has checked both lengths.
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.records.push(Record {
            hash: hash_key(&entry.key),
            start,
            line: entry.line,
            key_len: len(&entry.key),
            value_len: (!entry.is_deletion).then_some(len(&entry.value)),
        });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Brings the entries into the order of a table; those of one key stay in the order of their lines.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.records.sort_unstable_by(|a, b| {
            let by_key = || key_in(bytes, a).cmp(key_in(bytes, b));
            a.hash.cmp(&b.hash).then_with(by_key).then(a.line.cmp(&b.line))
        });
    }

    /// Leaves of the entries of each key those that `policy` wants, and returns how many it left out. Where all are kept
    /// a deletion takes those before it, and comes last, as the format has it.
    pub(super) fn resolve(&mut self, policy: Duplicates) -> Result<u64, DuplicateKey> {
        let before = self.records.len();
        if policy == Duplicates::Error {
            return self.first_duplicate().map_or(Ok(0), Err);
        }
        if !self.records.windows(2).any(|pair| matches!(pair, [a, b] if self.same_key(a, b))) {
            return Ok(0);
        }
        let mut kept: Vec<Record> = Vec::with_capacity(before);
        let records = std::mem::take(&mut self.records);
        for group in records.chunk_by(|a, b| self.same_key(a, b)) {
            match (policy, group) {
                (_, [only]) => kept.push(*only),
                (Duplicates::Keep, group) => {
                    let deletion = group.iter().rposition(|record| record.value_len.is_none());
                    let values = group.get(deletion.map_or(0, |i| i + 1)..).unwrap_or_default();
                    kept.extend_from_slice(values);
                    kept.extend(deletion.and_then(|i| group.get(i)));
                }
                (_, group) => kept.extend(group.last()),
            }
        }
        self.records = kept;
        Ok((before - self.records.len()) as u64)
    }

    fn first_duplicate(&self) -> Option<DuplicateKey> {
        let groups = self.records.chunk_by(|a, b| self.same_key(a, b));
        let pairs = groups.filter_map(|group| Some((group.first()?, group.get(1)?)));
        let (first, second) = pairs.min_by_key(|(_, second)| second.line)?;
        let key = Escaped(key_in(&self.bytes, first)).to_string();
        Some(DuplicateKey { key, first_line: first.line, line: second.line })
    }

    fn same_key(&self, a: &Record, b: &Record) -> bool {
        a.hash == b.hash && key_in(&self.bytes, a).cmp(key_in(&self.bytes, b)) == Ordering::Equal
    }

    /// Number of entries.
    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    /// The entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Sorted<'_>> {
        self.records.iter().map(|record| Sorted {
            hash: record.hash,
            line: record.line,
            key: key_in(&self.bytes, record),
            value: record
                .value_len
                .map(|len| part(&self.bytes, record.start + record.key_len as usize, len as usize)),
        })
    }
}

fn key_in<'a>(bytes: &'a [u8], record: &Record) -> &'a [u8] {
    part(bytes, record.start, record.key_len as usize)
}

fn part(bytes: &[u8], start: usize, len: usize) -> &[u8] {
    bytes.get(start..).and_then(|rest| rest.get(..len)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of these keys and values, line by line.
    fn entries(lines: &[(&str, Option<&str>)]) -> Entries {
        let mut entries = Entries::default();
        for ((key, value), line) in lines.iter().zip(1..) {
            entries.push(&InputEntry {
                line,
                key: (*key).into(),
                value: value.unwrap_or_default().into(),
                is_deletion: value.is_none(),
            });
        }
        entries.sort();
        entries
    }

    /// Values of `key`, in order; `None` is a deletion.
    fn values<'a>(entries: &'a Entries, key: &str) -> Vec<Option<&'a str>> {
        let of_key = entries.iter().filter(|entry| entry.key == key.as_bytes());
        of_key.map(|entry| entry.value.map(|value| str::from_utf8(value).unwrap())).collect()
    }

    const LINES: [(&str, Option<&str>); 9] = [
        ("b", Some("1")),
        ("a", Some("2")),
        ("", Some("")),
        ("b", Some("4")),
        ("a", None),
        ("c", None),
        ("a", Some("7")),
        ("d", Some("8")),
        ("d", None),
    ];

    #[test]
    fn entries_come_in_the_order_of_hash_and_key() {
        let entries = entries(&LINES);
        let places: Vec<_> = entries.iter().map(|entry| (entry.hash, entry.key)).collect();
        assert!(places.is_sorted());
        assert!(entries.iter().all(|entry| entry.hash == hash_key(entry.key)));
        assert_eq!((entries.len(), entries.is_empty()), (9, false));
        assert_eq!(values(&entries, "a"), [Some("2"), None, Some("7")]);
        assert_eq!(values(&entries, ""), [Some("")]);
    }

    #[test]
    fn the_last_entry_of_a_key_counts() {
        let mut entries = entries(&LINES);
        assert_eq!(entries.resolve(Duplicates::Last), Ok(4));
        assert_eq!(values(&entries, "a"), [Some("7")]);
        assert_eq!(values(&entries, "b"), [Some("4")]);
        assert_eq!(values(&entries, "c"), [None]);
        assert_eq!(values(&entries, "d"), [None]);
    }

    #[test]
    fn all_entries_of_a_key_are_kept_and_a_deletion_takes_those_before_it() {
        let mut entries = entries(&LINES);
        assert_eq!(entries.resolve(Duplicates::Keep), Ok(2));
        assert_eq!(values(&entries, "a"), [Some("7"), None]);
        assert_eq!(values(&entries, "b"), [Some("1"), Some("4")]);
        assert_eq!(values(&entries, "c"), [None]);
        assert_eq!(values(&entries, "d"), [None]);
    }

    #[test]
    fn a_key_that_comes_twice_is_named_with_both_lines() {
        let mut lines = vec![("x", Some("1")), ("y\n", Some("2")), ("y\n", None), ("y\n", None)];
        lines.extend(["x", "a", "b", "a", "b"].map(|key| (key, Some("later"))));
        let expected = DuplicateKey { key: "y\\n".to_owned(), first_line: 2, line: 3 };
        assert_eq!(entries(&lines).resolve(Duplicates::Error), Err(expected));
        let mut once = entries(&[("x", Some("1")), ("y", Some("2"))]);
        assert_eq!(once.resolve(Duplicates::Error), Ok(0));
        assert_eq!(once.len(), 2);
    }
}
