//! Judges the answers of a reader: right, wrong, or an error. Damage may turn a right answer into
//! an error, but never into a wrong answer.

use std::fmt::Debug;

use sst_conformance::{TestEntry, TestValue};
use sst_reader::{Lookup, ReadError, ReadValue, Slice, StaticSortedFile};

use super::same_key;

/// The outcome of all reads of a table or a directory.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first answer that is neither right nor an error.
    pub wrong: Option<String>,
    /// The first error.
    pub error: Option<ReadError>,
    /// Number of right answers.
    pub right: u64,
}

impl Outcome {
    /// Whether every answer was right.
    pub fn is_right(&self) -> bool {
        self.wrong.is_none() && self.error.is_none() && self.right > 0
    }

    /// The value of a result. An error is recorded.
    pub fn ok<T>(&mut self, result: Result<T, ReadError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// Compares an answer with the expected one.
    pub fn judge<T: PartialEq + Debug>(&mut self, what: &[u8], found: &T, expected: &T) {
        if found == expected {
            self.right += 1;
        } else if self.wrong.is_none() {
            let what = what.escape_ascii();
            self.wrong = Some(format!("{what}: {found:?} where {expected:?} is right"));
        }
    }

    /// Reads all entries of a table in every way, and looks up absent keys.
    pub fn of_table(
        table: &StaticSortedFile,
        entries: &[TestEntry],
        absent: &[(u64, Vec<u8>)],
    ) -> Self {
        let mut outcome = Self::default();
        for group in entries.chunk_by(same_key) {
            let TestEntry { hash, key, value } = &group[0];
            if let Some(found) = outcome.ok(table.lookup(*hash, key)) {
                outcome.judge(key, &of_lookup(&found), &Some(of_value(value)));
            }
            let all = table.lookup_all(*hash, key).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            if let Some(found) = outcome.ok(all) {
                let found: Vec<_> = found.iter().map(of_entry).collect();
                let expected: Vec<_> = group.iter().map(|entry| of_value(&entry.value)).collect();
                outcome.judge(key, &found, &expected);
            }
        }
        for (hash, key) in absent {
            if let Some(found) = outcome.ok(table.lookup(*hash, key)) {
                outcome.judge(key, &of_lookup(&found), &None);
            }
        }
        outcome.scan(table, entries);
        outcome
    }

    /// Iterates over a table and compares its entries.
    fn scan(&mut self, table: &StaticSortedFile, entries: &[TestEntry]) {
        let mut expected = entries.iter();
        for entry in table.iter() {
            let Some(entry) = self.ok(entry) else { return };
            let found = (entry.hash, &*entry.key, of_entry(&entry.value));
            match expected.next() {
                Some(expected) => {
                    let expected = (expected.hash, &*expected.key, of_value(&expected.value));
                    self.judge(b"iteration", &found, &expected);
                }
                None => self.judge(b"iteration", &Some(found), &None),
            }
        }
        self.judge(b"end of iteration", &expected.len(), &0);
    }
}

/// A tombstone, a blob number or a value, in a form that can be compared.
type Answer<'a> = (Option<u32>, Option<&'a [u8]>);

fn of_value(value: &TestValue) -> Answer<'_> {
    match value {
        TestValue::Blob(number) => (Some(*number), None),
        value => (None, value.bytes()),
    }
}

fn of_entry<'a>(value: &'a ReadValue<Slice<'_>>) -> Answer<'a> {
    match value {
        ReadValue::Deleted => (None, None),
        ReadValue::Blob(number) => (Some(number.0), None),
        ReadValue::Value(value) => (None, Some(value)),
    }
}

fn of_lookup<'a>(lookup: &'a Lookup<'_>) -> Option<Answer<'a>> {
    match lookup {
        Lookup::NotFound => None,
        Lookup::Deleted => Some((None, None)),
        Lookup::Blob(number) => Some((Some(number.0), None)),
        Lookup::Value(value) => Some((None, Some(value))),
    }
}
