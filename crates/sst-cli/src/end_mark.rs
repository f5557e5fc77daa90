//! The mark that ends a complete output of `sst scan --end-mark`.
//!
//! If the producer of a pipe fails, its output looks complete to the reader of the pipe. With a
//! mark it does not: the mark is the last line of a complete output, and states the number of
//! entries before it and their digest:
//!
//! ```text
//! \end(2,8d3f1f0a52c4e7b9)
//! {"sst_end":{"entries":2,"digest":"8d3f1f0a52c4e7b9"}}
//! ```
//!
//! Neither line is an entry in its format. Outputs may be concatenated: a mark covers the entries
//! since the mark before it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sst_reader::hash_key;

/// Length of the longest mark as text, with the longest numbers.
pub(crate) const MAX_MARK_LEN: usize = 64;

/// The start of a mark in JSON lines.
pub(crate) const JSON_START: &[u8] = br#"{"sst_end":"#;
/// Highest length of a mark in its JSON form, with spaces. The parser takes memory for its text.
const MAX_JSON_LEN: usize = 1 << 10;

/// The number of entries of an output and the digest of their sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndMark {
    entries: u64,
    digest: u64,
}

impl EndMark {
    /// Number of entries.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds an entry: its key, and its value unless it is a tombstone.
    ///
    /// The digest is XXH3-64 of the digest before, the hashes of key and value, and the kind.
    pub(crate) fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.add_hashed(key, value.map(hash_key));
    }

    /// As [`EndMark::add`], with the hash of the value.
    pub(crate) fn add_hashed(&mut self, key: &[u8], value: Option<u64>) {
        // A tombstone has no value; its kind tells it from an empty one.
        let (kind, value) = value.map_or((0, 0), |value| (1, value));
        let words = [self.digest, hash_key(key), value, kind];
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.digest = hash_key(&words);
        self.entries += 1;
    }

    /// Parses a mark in its TSV form. `None` if the line is not a mark.
    pub(crate) fn parse_text(line: &[u8]) -> Option<Self> {
        let text = str::from_utf8(line).ok()?;
        let (entries, digest) = text.strip_prefix(r"\end(")?.strip_suffix(')')?.split_once(',')?;
        let mark = Self { entries: entries.parse().ok()?, digest: parse_digest(digest)? };
        // Only the canonical form is a mark: no signs, no capitals, no leading zeros.
        (mark.to_string().as_bytes() == line).then_some(mark)
    }

    /// Parses a mark in its JSON form. `None` if the line is not a mark.
    pub(crate) fn parse_json(line: &[u8]) -> Option<Self> {
        if !line.starts_with(JSON_START) || line.len() > MAX_JSON_LEN {
            return None;
        }
        let MarkLine { sst_end } = serde_json::from_slice(line).ok()?;
        Some(Self { entries: sst_end.entries, digest: parse_digest(&sst_end.digest)? })
    }

    /// The mark in its JSON form.
    pub(crate) fn json(&self) -> impl Serialize + use<> {
        let digest = format!("{:016x}", self.digest);
        MarkLine { sst_end: Fields { entries: self.entries, digest } }
    }
}

impl fmt::Display for EndMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r"\end({},{:016x})", self.entries, self.digest)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkLine {
    sst_end: Fields,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    entries: u64,
    digest: String,
}

fn parse_digest(text: &str) -> Option<u64> {
    let digest = u64::from_str_radix(text, 16).ok()?;
    (text.len() == 16 && !text.starts_with('+')).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(entries: &[(&[u8], Option<&[u8]>)]) -> EndMark {
        let mut mark = EndMark::default();
        entries.iter().for_each(|(key, value)| mark.add(key, *value));
        mark
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        for mark in [EndMark::default(), mark(&[(b"a", Some(b"1")), (b"b", None)])] {
            assert_eq!(EndMark::parse_text(mark.to_string().as_bytes()), Some(mark));
            let json = serde_json::to_vec(&mark.json()).unwrap();
            assert_eq!(EndMark::parse_json(&json), Some(mark));
            assert!(mark.to_string().len() < MAX_MARK_LEN);
        }
        for text in [r"\end(1,2)", r"\end(+1,0000000000000000)", r"\end(1,000000000000000A)", "x"] {
            assert_eq!(EndMark::parse_text(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_part_of_an_entry_counts_and_their_order() {
        let marks = [
            mark(&[]),
            mark(&[(b"a", Some(b"1"))]),
            mark(&[(b"a", Some(b""))]),
            mark(&[(b"a", None)]),
            mark(&[(b"", Some(b"a"))]),
            mark(&[(b"a", Some(b"1")), (b"b", Some(b"2"))]),
            mark(&[(b"b", Some(b"2")), (b"a", Some(b"1"))]),
        ];
        for (i, mark) in marks.iter().enumerate() {
            assert_eq!(marks.iter().position(|other| other == mark), Some(i));
        }
    }
}
