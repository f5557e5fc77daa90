//! The bytes of a whole filter: the buffer, and the fields around it.
//!
//! ```text
//! ┌──────────────────┬────────┬──────────────────────┬──────┬──────┬────────────────────────┐
//! │ varint buffer    │ buffer │ varint number of     │ u8 q │ u8 r │ 00, or 01 and u8 max q │
//! │ length           │        │ fingerprints         │      │      │                        │
//! └──────────────────┴────────┴──────────────────────┴──────┴──────┴────────────────────────┘
//! ```
//!
//! These are the bytes of `postcard`, which reads and writes them: a varint has 7 bits per byte,
//! the low ones first, and its top bit says that another byte follows. Only the shortest form is
//! accepted, and nothing may follow the last byte, so a filter has exactly one form in bytes.
//!
//! Filters that were made to grow store `max q`. A reader checks it and does not use it otherwise.

use crate::layout::Layout;
use crate::pile::NO_MEMORY;
use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize, Serializer};
use sst_format::filter::FilterError;

/// The longest varint: ten bytes for 64 bits.
const VARINT_MAX_LEN: usize = 10;
/// The most bytes behind the buffer: a varint, `q`, `r` and the byte that says "no max".
const TAIL_MAX_LEN: usize = VARINT_MAX_LEN + 3;

const BROKEN: FilterError = FilterError::new("internal: the buffer does not fit its envelope");

/// The fields in the order in which they are stored.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow, serialize_with = "as_bytes")]
    buffer: &'a [u8],
    fingerprint_count: u64,
    quotient_bits: u8,
    remainder_bits: u8,
    max_quotient_bits: Option<u8>,
}

/// Serializes the buffer as one string of bytes; serde's default for slices is byte by byte.
fn as_bytes<S: Serializer>(buffer: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(buffer)
}

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
    /// Parses the bytes of a filter. O(1): the length of the buffer is checked, not its content.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FilterError> {
        let stored: Stored<'_> = postcard::from_bytes(bytes).map_err(reason)?;
        let canonical_len = postcard::serialize_with_flavor(&stored, Size::default());
        if canonical_len.map_err(reason)? != bytes.len() {
            return Err(FilterError::new(
                "length not in its shortest form, or bytes behind the end",
            ));
        }
        let Stored { buffer, fingerprint_count, quotient_bits, remainder_bits, max_quotient_bits } =
            stored;
        let layout = Layout::new(quotient_bits, remainder_bits)
            .ok_or(FilterError::new("quotient or remainder size out of range"))?;
        if max_quotient_bits.is_some_and(|max| !layout.may_grow_to(max)) {
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

fn reason(error: postcard::Error) -> FilterError {
    FilterError::new(match error {
        postcard::Error::DeserializeUnexpectedEnd => "bytes end too early",
        postcard::Error::DeserializeBadVarint => "length of more than 64 bits",
        postcard::Error::DeserializeBadOption => "neither with a largest quotient size nor without",
        _ => "fields cannot be told apart",
    })
}

/// A filter being written: the bytes up to the end of an all-zero buffer, and room for the rest.
#[derive(Debug)]
pub(crate) struct EnvelopeWriter {
    bytes: Vec<u8>,
    buffer_at: usize,
    layout: Layout,
}

impl EnvelopeWriter {
    /// # Errors
    ///
    /// [`FilterError`] if the filter does not fit the address space, or the system has no memory.
    pub(crate) fn new(layout: Layout) -> Result<Self, FilterError> {
        const TOO_LARGE: FilterError = FilterError::new("larger than the address space");
        let buffer_len = usize::try_from(layout.buffer_len()).map_err(|_| TOO_LARGE)?;
        let mut room = [0; VARINT_MAX_LEN];
        let head = postcard::to_slice(&layout.buffer_len(), &mut room).map_err(|_| BROKEN)?;
        let end = head.len().checked_add(buffer_len).ok_or(TOO_LARGE)?;
        let mut bytes = Vec::new();
        let room_len = end.checked_add(TAIL_MAX_LEN).ok_or(TOO_LARGE)?;
        bytes.try_reserve_exact(room_len).map_err(|_| NO_MEMORY)?;
        bytes.resize(end, 0);
        bytes.get_mut(..head.len()).ok_or(BROKEN)?.copy_from_slice(head);
        Ok(Self { bytes, buffer_at: head.len(), layout })
    }

    /// The buffer, for the encoder to fill.
    pub(crate) fn buffer_mut(&mut self) -> Result<&mut [u8], FilterError> {
        self.bytes.get_mut(self.buffer_at..).ok_or(BROKEN)
    }

    /// Adds the fields behind the buffer.
    pub(crate) fn finish(self, fingerprint_count: u64) -> Result<Vec<u8>, FilterError> {
        let [quotient_bits, remainder_bits] =
            [self.layout.quotient_bits(), self.layout.remainder_bits()];
        let tail = (fingerprint_count, quotient_bits, remainder_bits, None::<u8>);
        postcard::to_extend(&tail, self.bytes).map_err(|_| BROKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, EnvelopeWriter};
    use crate::layout::Layout;

    fn empty_filter() -> Vec<u8> {
        EnvelopeWriter::new(Layout::new(6, 7).unwrap()).unwrap().finish(0).unwrap()
    }

    /// The reason for which an empty filter with these bytes behind its buffer is refused.
    #[track_caller]
    fn refusal(tail: &[u8]) -> &'static str {
        let mut bytes = empty_filter();
        bytes.truncate(bytes.len() - 4);
        bytes.extend(tail);
        Envelope::parse(&bytes).unwrap_err().reason()
    }

    #[test]
    fn a_written_envelope_is_read() {
        for (quotient_bits, remainder_bits) in [(6, 1), (6, 7), (7, 16), (12, 3), (15, 9)] {
            let layout = Layout::new(quotient_bits, remainder_bits).unwrap();
            for count in [0, 1, layout.capacity()] {
                let bytes = EnvelopeWriter::new(layout).unwrap().finish(count).unwrap();
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

    /// A length with a needless last byte of zero bits means the same number, and is refused.
    #[test]
    fn only_the_shortest_varints_are_accepted() {
        let bytes = empty_filter();
        assert!(bytes[0] < 128, "one byte holds the length of the buffer");
        let longer = [&[bytes[0] | 0x80, 0], &bytes[1..]].concat();
        assert!(Envelope::parse(&bytes).is_ok());
        assert!(Envelope::parse(&longer).is_err());
    }
}
