//! What stands around the buffer: the bytes of a whole filter.
//!
//! ```text
//! ┌──────────────────┬────────┬──────────────────────┬──────┬──────┬────────────────────────┐
//! │ varint buffer    │ buffer │ varint number of     │ u8 q │ u8 r │ 00, or 01 and u8 max q │
//! │ length           │        │ fingerprints         │      │      │                        │
//! └──────────────────┴────────┴──────────────────────┴──────┴──────┴────────────────────────┘
//! ```
//!
//! A varint has 7 bits per byte, the low ones first; the top bit says that another byte follows. Only the shortest form
//! is accepted, and nothing may follow the last byte, so a filter has exactly one form in bytes.
//!
//! `max q` is there in filters that were made to grow. A reader needs no more of it than to know where it ends.

use crate::layout::Layout;
use sst_format::filter::FilterError;

const NO_MAX: u8 = 0;
const SOME_MAX: u8 = 1;
/// Bits of a varint byte that carry its number.
const VARINT_BITS: u32 = 7;
const VARINT_MORE: u8 = 1 << VARINT_BITS;
/// The longest varint: ten bytes for 64 bits.
const VARINT_MAX_LEN: usize = 10;

const TRUNCATED: FilterError = FilterError::new("bytes end too early");

/// The parts of a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    /// Blocks and padding, exactly as long as the layout says.
    pub(crate) buffer: &'a [u8],
    /// Number of fingerprints, not above the capacity of the layout.
    pub(crate) fingerprint_count: u64,
    pub(crate) layout: Layout,
}

impl<'a> Envelope<'a> {
    /// Takes the bytes of a filter apart. O(1): the buffer is measured, not read.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FilterError> {
        let (buffer_len, rest) = take_varint(bytes)?;
        let buffer_len = usize::try_from(buffer_len).map_err(|_| TRUNCATED)?;
        let (buffer, rest) = rest.split_at_checked(buffer_len).ok_or(TRUNCATED)?;
        let (fingerprint_count, rest) = take_varint(rest)?;
        let ([quotient_bits, remainder_bits, has_max], rest) =
            rest.split_first_chunk().ok_or(TRUNCATED)?;
        let layout = Layout::new(*quotient_bits, *remainder_bits)
            .ok_or(FilterError::new("quotient or remainder size out of range"))?;
        let max_is_sound = match (*has_max, rest) {
            (NO_MAX, []) => true,
            (SOME_MAX, [max]) => layout.may_grow_to(*max),
            (NO_MAX, _) | (SOME_MAX, [_, _, ..]) => {
                return Err(FilterError::new("bytes go on behind the end"));
            }
            (SOME_MAX, []) => return Err(TRUNCATED),
            _ => false,
        };
        if !max_is_sound {
            return Err(FilterError::new("largest quotient size out of range"));
        }
        if layout.buffer_len() != buffer.len() as u64 {
            return Err(FilterError::new("buffer length does not fit quotient and remainder size"));
        }
        if fingerprint_count > layout.capacity() {
            return Err(FilterError::new("more fingerprints than there is room for"));
        }
        Ok(Self { buffer, fingerprint_count, layout })
    }
}

/// A filter in the making: the bytes up to the end of an empty buffer, and room for the rest.
#[derive(Debug)]
pub(crate) struct EnvelopeWriter {
    bytes: Vec<u8>,
    buffer_at: usize,
    layout: Layout,
}

impl EnvelopeWriter {
    /// `None` if the filter doesn't fit the address space.
    pub(crate) fn new(layout: Layout) -> Option<Self> {
        let buffer_len = usize::try_from(layout.buffer_len()).ok()?;
        let mut head = Vec::with_capacity(VARINT_MAX_LEN);
        put_varint(&mut head, layout.buffer_len());
        // Allocated zeroed, so that pages of a large filter are touched only once.
        let mut bytes = vec![0; head.len() + buffer_len + VARINT_MAX_LEN + 3];
        bytes.truncate(head.len() + buffer_len);
        bytes.get_mut(..head.len())?.copy_from_slice(&head);
        Some(Self { bytes, buffer_at: head.len(), layout })
    }

    /// The buffer, to be filled.
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.buffer_at..).unwrap_or_default()
    }

    /// Adds what follows the buffer.
    pub(crate) fn finish(mut self, fingerprint_count: u64) -> Vec<u8> {
        put_varint(&mut self.bytes, fingerprint_count);
        self.bytes.extend([self.layout.quotient_bits(), self.layout.remainder_bits(), NO_MAX]);
        self.bytes
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    let [.., mut low] = value.to_be_bytes();
    while value >= u64::from(VARINT_MORE) {
        out.push(low | VARINT_MORE);
        value >>= VARINT_BITS;
        [.., low] = value.to_be_bytes();
    }
    out.push(low);
}

fn take_varint(bytes: &[u8]) -> Result<(u64, &[u8]), FilterError> {
    const NOT_CANONICAL: FilterError = FilterError::new("length is not in its shortest form");
    let mut value = 0_u64;
    let mut shift = 0;
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let part = u64::from(byte & !VARINT_MORE);
        if shift >= u64::BITS || (part << shift) >> shift != part {
            return Err(FilterError::new("length of more than 64 bits"));
        }
        value |= part << shift;
        if byte & VARINT_MORE == 0 {
            return if part == 0 && shift > 0 { Err(NOT_CANONICAL) } else { Ok((value, rest)) };
        }
        shift += VARINT_BITS;
    }
    Err(TRUNCATED)
}

#[cfg(test)]
mod tests {
    use super::{Envelope, EnvelopeWriter, put_varint, take_varint};
    use crate::layout::Layout;

    fn empty_filter() -> Vec<u8> {
        EnvelopeWriter::new(Layout::new(6, 7).unwrap()).unwrap().finish(0)
    }

    /// The reason why an empty filter with other bytes behind its buffer is not accepted.
    #[track_caller]
    fn refusal(tail: &[u8]) -> &'static str {
        let mut bytes = empty_filter();
        bytes.truncate(bytes.len() - 4);
        bytes.extend(tail);
        Envelope::parse(&bytes).unwrap_err().reason()
    }

    #[test]
    fn what_is_written_is_read() {
        for (quotient_bits, remainder_bits) in [(6, 1), (6, 7), (7, 16), (12, 3), (15, 9)] {
            let layout = Layout::new(quotient_bits, remainder_bits).unwrap();
            for count in [0, 1, layout.capacity()] {
                let bytes = EnvelopeWriter::new(layout).unwrap().finish(count);
                let envelope = Envelope::parse(&bytes).unwrap();
                assert_eq!(envelope.layout, layout);
                assert_eq!(envelope.fingerprint_count, count);
                assert_eq!(envelope.buffer.len() as u64, layout.buffer_len());
            }
        }
    }

    #[test]
    fn growth_is_skipped() {
        for max in 6..=12 {
            let mut bytes = empty_filter();
            bytes.pop();
            bytes.extend([1, max]);
            assert!(Envelope::parse(&bytes).is_ok(), "{max}");
        }
    }

    #[test]
    fn every_field_is_checked() {
        let mut reasons = [
            &[62, 6, 7, 0][..], // 61 fit 64 slots
            &[0, 5, 8, 0],      // less than a block
            &[0, 7, 7, 0],      // another buffer length
            &[0, 6, 7, 1, 5],   // grows to less than it is
            &[0, 6, 7, 0, 0],   // one byte more
        ]
        .map(refusal);
        reasons.sort_unstable();
        assert!(reasons.windows(2).all(|pair| pair[0] != pair[1]), "{reasons:?}");
        for tail in [
            &[][..],
            &[0],
            &[0, 6],
            &[0, 6, 7],
            &[0, 6, 7, 1],
            &[0, 6, 7, 2],
            &[0, 6, 7, 1, 0],
            &[0, 6, 7, 1, 13],
            &[0, 6, 7, 1, 255],
            &[0, 6, 7, 1, 6, 0],
            &[0, 0, 7, 0],
            &[0, 6, 0, 0],
            &[0, 60, 4, 0],
            &[0, 6, 59, 0],
            &[0, 255, 255, 0],
            &[0x80, 0, 6, 7, 0],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 6, 7, 0],
        ] {
            refusal(tail);
        }
        let mut bytes = empty_filter();
        bytes[0] += 1;
        assert!(Envelope::parse(&bytes).is_err());
    }

    #[test]
    fn varints() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                assert_eq!(bytes, postcard::to_allocvec(&value).unwrap());
                assert_eq!(take_varint(&bytes).unwrap(), (value, &[][..]));
                let end = bytes.len() - 1;
                assert!(take_varint(&bytes[..end]).is_err());
                bytes[end] |= 0x80;
                bytes.push(0);
                assert!(take_varint(&bytes).is_err(), "not the shortest form of {value}");
            }
        }
        assert!(take_varint(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]).is_err());
        assert!(take_varint(&[0x80; 20]).is_err());
    }
}
