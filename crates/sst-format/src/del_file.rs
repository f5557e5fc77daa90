//! `.del` files: sequence numbers of obsolete files (FORMAT.md section 1).
//!
//! ```text
//! size   field
//!    4   a sequence number, as often as the file is long
//! ```
//!
//! The original writes a `.del` file with each commit that makes files obsolete: it names tables,
//! blobs and meta files. Ours writes one only with a rollback. It names the meta files that the
//! rollback leaves out, because the original's readers know no list of live meta files. The format
//! has no header, no count and no checksum, so the only damage that can be noticed is a length that
//! is not a multiple of 4.

use alloc::vec::Vec;

use crate::{FormatError, SequenceNumber, Structure};

const STRUCTURE: Structure = Structure::DelFile;

/// Length of one sequence number, in bytes.
const NUMBER_LEN: usize = 4;

/// A checked view of a `.del` file.
#[derive(Clone, Copy, Debug)]
pub struct DelFile<'a> {
    numbers: &'a [[u8; NUMBER_LEN]],
}

impl<'a> DelFile<'a> {
    /// Encodes a `.del` file that names `sequences`, in their order.
    #[must_use]
    pub fn encode(sequences: impl IntoIterator<Item = SequenceNumber>) -> Vec<u8> {
        sequences.into_iter().flat_map(|sequence| sequence.0.to_be_bytes()).collect()
    }

    /// The highest length of the `.del` file with this number, in bytes. It names files of older
    /// commits, each of which has a number of its own; a shorter file may repeat some.
    #[must_use]
    pub fn max_len(sequence: SequenceNumber) -> u64 {
        const ANY_CONTENT: u64 = 64 << 10;
        ANY_CONTENT.max(NUMBER_LEN as u64 * u64::from(sequence.0))
    }

    /// Parses a `.del` file, ours or the original's. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if its length is not a multiple of 4.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let found = bytes.len() as u64;
            let expected = found - rest.len() as u64;
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        Ok(Self { numbers })
    }

    /// The sequence numbers in the file, in its order. A number may be repeated.
    pub fn sequences(&self) -> impl ExactSizeIterator<Item = SequenceNumber> + 'a {
        self.numbers.iter().map(|number| SequenceNumber(u32::from_be_bytes(*number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_in_their_order() {
        let sequences = [7, 0, u32::MAX, 7].map(SequenceNumber);
        let bytes = DelFile::encode(sequences);
        assert_eq!(bytes, [0, 0, 0, 7, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 7]);
        let read = DelFile::parse(&bytes).unwrap();
        assert_eq!(read.sequences().collect::<Vec<_>>(), sequences);
        assert_eq!(DelFile::parse(&[]).unwrap().sequences().len(), 0);
    }

    #[test]
    fn a_number_cut_short_is_damage() {
        let bytes = DelFile::encode([1, 2].map(SequenceNumber));
        for len in (0..bytes.len()).filter(|len| len % NUMBER_LEN != 0) {
            let (expected, found) = ((len / NUMBER_LEN * NUMBER_LEN) as u64, len as u64);
            let error = FormatError::WrongLen { structure: STRUCTURE, expected, found };
            assert_eq!(DelFile::parse(&bytes[..len]).unwrap_err(), error);
        }
    }
}
