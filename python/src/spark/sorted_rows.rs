//! The rows of a task, which must be prepared: of one range of hashes, in the order of tables.

use std::ops::RangeInclusive;

use sst_reader::hash_key;

use super::{hash_range, range_of};
use crate::errors::Error;

/// What is done about several rows of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// They are an error.
    Refused,
    /// The last one counts.
    LastCounts,
    /// All are values of the key.
    Kept,
}

impl Repeated {
    pub(super) fn of(text: &str) -> Result<Self, Error> {
        match text {
            "error" => Ok(Self::Refused),
            "newest" => Ok(Self::LastCounts),
            "keep" => Ok(Self::Kept),
            _ => {
                let text =
                    format!("duplicates={text:?} is none of \"error\", \"newest\", \"keep\"");
                Err(Error::usage(text))
            }
        }
    }
}

/// Checks the keys of rows, one after the other.
pub(super) struct SortedRows {
    /// The number of ranges that all hashes are divided into.
    ranges: u32,
    /// The hashes of the range that the first row is in.
    range: Option<RangeInclusive<u64>>,
    last_hash: u64,
    last_key: Vec<u8>,
    rows: u64,
}

/// A row whose place is right.
pub(super) struct SortedKey {
    pub(super) hash: u64,
    /// Whether the row before is of the same key.
    pub(super) repeats: bool,
}

impl SortedRows {
    pub(super) const fn new(ranges: u32) -> Self {
        Self { ranges, range: None, last_hash: 0, last_key: Vec::new(), rows: 0 }
    }

    /// Checks the key of the next row.
    pub(super) fn next(&mut self, key: Option<&[u8]>) -> Result<SortedKey, Error> {
        let position = self.rows;
        let wrong = |reason| Error::Entry { position, reason };
        let key = key.ok_or(wrong("its key is null"))?;
        let hash = hash_key(key);
        let repeats = match &self.range {
            None => {
                let range = hash_range(range_of(hash, self.ranges), self.ranges)?;
                self.range = Some(range.min..=range.max);
                false
            }
            Some(range) if !range.contains(&hash) => return Err(wrong(OTHER_RANGE)),
            Some(_) => match (hash, key).cmp(&(self.last_hash, self.last_key.as_slice())) {
                std::cmp::Ordering::Less => return Err(wrong(OUT_OF_ORDER)),
                std::cmp::Ordering::Equal => true,
                std::cmp::Ordering::Greater => false,
            },
        };
        if !repeats {
            self.last_hash = hash;
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.rows += 1;
        Ok(SortedKey { hash, repeats })
    }

    /// Number of rows so far.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// The number of the range; `None` if there was no row.
    pub(super) fn range_number(&self) -> Option<u32> {
        self.range.as_ref().map(|range| range_of(*range.start(), self.ranges))
    }
}

const OTHER_RANGE: &str = "it is of another range of hashes than the rows before it: only rows that \
                           `sst_files.spark.prepare` has divided are written";
const OUT_OF_ORDER: &str = "it is out of order: rows ascend by (key_hash(key), key), as \
                            `sst_files.spark.prepare` sorts them";
