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
