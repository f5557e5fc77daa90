//! One record, as stored in a chunk in memory or on disk.
//!
//! | bytes | content |
//! |---|---|
//! | varint | stream |
//! | varint | position |
//! | varint | length of the key |
//! | varint | 0 tombstone, 1 blob, 2 detached value, otherwise 3 + length of the value |
//! | … | the key |
//! | … | the value; the 8 bytes of a blob's ticket; the 20 bytes of a detached value's location |
//!
//! Varints are LEB128. The hash is not stored: computing it takes less time than reading it.

use std::cmp::Ordering;

use super::input_position::InputPosition;
use super::spill_file::SpillLocation;

/// Longest varint in bytes.
const MAX_VARINT_LEN: usize = 10;
/// Longest record in bytes, without its key and its value.
pub(super) const MAX_OVERHEAD: usize = 4 * MAX_VARINT_LEN + DETACHED_LEN;
/// Length of the location of a detached value, in bytes.
const DETACHED_LEN: usize = 20;

/// A value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordValue<'a> {
    /// No value: the record deletes its key.
    Deleted,
    /// The value itself.
    Bytes(&'a [u8]),
    /// The location of the value in a spill file: it is too long to be copied while sorting.
    Detached(DetachedValue),
    /// The ticket of a blob file, under which the load finds it until it has a number.
    Blob(u64),
}

/// The location of a value that is stored apart from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DetachedValue {
    /// Number of the spill file.
    pub(super) file: u32,
    pub(super) location: SpillLocation,
}

/// A record, borrowed from its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) input_position: InputPosition,
    pub(super) key: &'a [u8],
    pub(super) value: RecordValue<'a>,
}

impl<'a> Record<'a> {
    pub(super) const fn is_deletion(&self) -> bool {
        matches!(self.value, RecordValue::Deleted)
    }

    /// Length of the key and the value in bytes. The value of a blob counts as 0.
    pub(super) const fn len(&self) -> u64 {
        let value_len = match &self.value {
            RecordValue::Detached(value) => value.location.len as usize,
            value => value.inline_len(),
        };
        (self.key.len() + value_len) as u64
    }

    /// The order of records with one hash: by key, then tombstones first, then by input position.
    /// Records with the same input position are ordered by their values, so that the order is
    /// always defined.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let by_input_position = |record: &Self| (!record.is_deletion(), record.input_position);
        self.key
            .cmp(other.key)
            .then_with(|| by_input_position(self).cmp(&by_input_position(other)))
            .then_with(|| self.value.tie_order().cmp(&other.value.tie_order()))
    }

    /// Appends the record to `out`.
    #[inline]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.input_position.stream);
        put_varint(out, self.input_position.position);
        put_varint(out, self.key.len() as u64);
        match self.value {
            RecordValue::Bytes(bytes) => {
                put_varint(out, 3 + bytes.len() as u64);
                out.extend_from_slice(self.key);
                out.extend_from_slice(bytes);
            }
            RecordValue::Deleted => {
                out.push(0);
                out.extend_from_slice(self.key);
            }
            RecordValue::Blob(ticket) => {
                out.push(1);
                out.extend_from_slice(self.key);
                out.extend_from_slice(&ticket.to_be_bytes());
            }
            RecordValue::Detached(DetachedValue { file, location }) => {
                out.push(2);
                out.extend_from_slice(self.key);
                out.extend_from_slice(&file.to_be_bytes());
                out.extend_from_slice(&location.offset.to_be_bytes());
                out.extend_from_slice(&location.len.to_be_bytes());
                out.extend_from_slice(&location.checksum.to_be_bytes());
            }
        }
    }

    /// Parses the record at the start of `bytes`, and returns it with the bytes behind it. `None`
    /// if there is no whole record, which would be a bug: spilled chunks have a checksum.
    #[inline]
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (stream, rest) = read_varint(bytes)?;
        let (position, rest) = read_varint(rest)?;
        let (key_len, rest) = read_varint(rest)?;
        let (code, rest) = read_varint(rest)?;
        // A length that no address reaches is longer than the bytes.
        let (key, rest) = rest.split_at_checked(usize::try_from(key_len).ok()?)?;
        let (value, rest) = match code {
            0 => (RecordValue::Deleted, rest),
            1 => {
                let (ticket, rest) = rest.split_first_chunk()?;
                (RecordValue::Blob(u64::from_be_bytes(*ticket)), rest)
            }
            2 => {
                let (value, rest) = read_detached(rest)?;
                (RecordValue::Detached(value), rest)
            }
            _ => {
                let (bytes, rest) = rest.split_at_checked(usize::try_from(code - 3).ok()?)?;
                (RecordValue::Bytes(bytes), rest)
            }
        };
        Some((Record { input_position: InputPosition { stream, position }, key, value }, rest))
    }
}

impl RecordValue<'_> {
    /// Length in bytes of the part of a record that depends on its value's length.
    pub(super) const fn inline_len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Deleted | Self::Detached(_) | Self::Blob(_) => 0,
        }
    }

    fn tie_order(&self) -> (u8, u64, u32, &[u8]) {
        match self {
            Self::Deleted => (0, 0, 0, &[]),
            Self::Bytes(bytes) => (1, bytes.len() as u64, 0, bytes),
            Self::Detached(DetachedValue { location, .. }) => {
                (1, location.len.into(), location.checksum, &[])
            }
            Self::Blob(ticket) => (2, *ticket, 0, &[]),
        }
    }
}

fn read_detached(bytes: &[u8]) -> Option<(DetachedValue, &[u8])> {
    let (file, rest) = bytes.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let location = SpillLocation {
        offset: u64::from_be_bytes(*offset),
        len: u32::from_be_bytes(*len),
        checksum: u32::from_be_bytes(*checksum),
    };
    Some((DetachedValue { file: u32::from_be_bytes(*file), location }, rest))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "seven bits are cut out")]
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline(always)]
fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut number = u64::from(first & 0x7f);
    let mut last = first;
    let mut shift = 7;
    while last & 0x80 != 0 {
        let (&byte, after) = rest.split_first()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        (last, rest, shift) = (byte, after, shift + 7);
    }
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(position: u64, key: &'a [u8], value: RecordValue<'a>) -> Record<'a> {
        Record { input_position: InputPosition { stream: 1, position }, key, value }
    }

    #[test]
    fn records_come_back_one_after_the_other() {
        let location = SpillLocation { offset: u64::MAX, len: 5, checksum: 0xdead_beef };
        let long = [7; 300];
        let records = [
            record(0, b"", RecordValue::Bytes(b"")),
            record(u64::MAX, b"key", RecordValue::Deleted),
            record(127, &long, RecordValue::Bytes(&long)),
            record(128, b"k", RecordValue::Blob(u64::MAX)),
            record(1 << 35, b"k", RecordValue::Detached(DetachedValue { file: 3, location })),
        ];
        let mut bytes = Vec::new();
        for record in &records {
            let before = bytes.len();
            record.encode(&mut bytes);
            let value_len = match record.value {
                RecordValue::Bytes(value) => value.len(),
                _ => 0,
            };
            assert!(bytes.len() - before <= MAX_OVERHEAD + record.key.len() + value_len);
        }
        let mut rest = bytes.as_slice();
        for record in &records {
            let (decoded, after) = Record::decode(rest).unwrap();
            assert_eq!(decoded, *record);
            // No shortened record is decoded.
            for len in 0..rest.len() - after.len() {
                assert_eq!(Record::decode(&rest[..len]), None);
            }
            rest = after;
        }
        assert_eq!(rest, b"");
    }

    #[test]
    fn deletions_come_before_values_of_their_key_and_ties_are_broken() {
        let mut records = [
            record(3, b"b", RecordValue::Bytes(b"3")),
            record(9, b"b", RecordValue::Deleted),
            record(1, b"b", RecordValue::Bytes(b"z")),
            record(1, b"b", RecordValue::Bytes(b"y")),
            record(5, b"a", RecordValue::Bytes(b"5")),
        ];
        records.sort_by(Record::order);
        let order: Vec<_> =
            records.iter().map(|record| (record.input_position.position, record.value)).collect();
        assert_eq!(order[0].0, 5);
        assert_eq!(order[1], (9, RecordValue::Deleted));
        assert_eq!(order[2], (1, RecordValue::Bytes(b"y")));
        assert_eq!(order[3], (1, RecordValue::Bytes(b"z")));
    }
}
