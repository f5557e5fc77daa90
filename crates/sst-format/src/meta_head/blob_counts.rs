//! The field of an extension that tells which tables refer to which blobs (FORMAT.md section 9).
//!
//! ```text
//! size  field
//!    4  tag 3
//!    4  length of the rest
//!  × 4  for each described table its number of blobs
//! ```
//!
//! The list of blobs then starts with the blobs of the first table, then those of the second, and
//! so on. If several tables refer to a blob, each has it in its part of the list. Behind these
//! parts come blobs of which it is not known which tables refer to them.
//!
//! For example, counts of 2, 0 and 1 beside the list 4, 6, 6, 9 say that the first table refers to
//! blobs 4 and 6, the second to none, the third to blob 6, and that some of the three may refer to
//! blob 9.

use alloc::vec::Vec;

use super::extension::Fields;
use super::{STRUCTURE, same_len};
use crate::FormatError;
use crate::bytes::count;

/// The tag of the field.
pub(crate) const TAG_BLOB_COUNTS: u32 = 3;

/// The field that states the number of blobs of each table, in the order of the tables. It goes
/// behind the fields of [`Extension::encode`](super::Extension::encode), whose tags are lower.
///
/// # Errors
///
/// [`FormatError::TooLarge`] if there are more tables than a field has room for.
pub fn blob_counts_field(
    counts: impl ExactSizeIterator<Item = u32>,
) -> Result<Vec<u8>, FormatError> {
    let mut out = TAG_BLOB_COUNTS.to_be_bytes().to_vec();
    // Saturates only where the count is refused anyway.
    out.extend_from_slice(&count(STRUCTURE, counts.len().saturating_mul(4))?.to_be_bytes());
    counts.for_each(|count| out.extend_from_slice(&count.to_be_bytes()));
    Ok(out)
}

/// Finds the field in an extension. `blobs` is the length of the list of blobs.
pub(super) fn parse(
    extension: &[u8],
    tables: usize,
    blobs: u32,
) -> Result<Option<&[[u8; 4]]>, FormatError> {
    let mut found = None;
    for field in Fields::new(extension) {
        let (tag, value) = field?;
        if tag != TAG_BLOB_COUNTS {
            continue;
        }
        same_len(tables as u64 * 4, value.len() as u64)?;
        let counts: &[[u8; 4]] = value.as_chunks().0;
        let sum: u64 = counts.iter().map(|count| u64::from(u32::from_be_bytes(*count))).sum();
        if sum > u64::from(blobs) {
            let (value, max) = (sum, blobs.into());
            return Err(FormatError::TooLarge { structure: STRUCTURE, value, max });
        }
        found = Some(counts);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(tag: u32, value: &[u8]) -> Vec<u8> {
        let len = u32::try_from(value.len()).unwrap();
        [&tag.to_be_bytes(), &len.to_be_bytes(), value].concat()
    }

    #[test]
    fn the_numbers_of_blobs_are_found_among_other_fields() {
        let counts = blob_counts_field([2, 0, 1].into_iter()).unwrap();
        assert_eq!(counts, field(3, &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]));
        let found = [[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 1]];
        for bytes in [
            counts.clone(),
            [field(0, b""), counts.clone()].concat(),
            [counts, field(7, b"later")].concat(),
        ] {
            assert_eq!(parse(&bytes, 3, 4).unwrap(), Some(&found[..]));
        }
        assert_eq!(parse(&[], 3, 4), Ok(None));
        assert_eq!(parse(&field(7, b"later"), 3, 4), Ok(None));
    }

    #[test]
    fn numbers_that_cannot_be_are_damage() {
        let counts = blob_counts_field([2, 3].into_iter()).unwrap();
        let structure = STRUCTURE;
        for (bytes, error) in [
            (b"later".to_vec(), FormatError::TooShort { structure, needed: 8, available: 5 }),
            (counts[..12].to_vec(), FormatError::TooShort { structure, needed: 16, available: 12 }),
            (
                [counts.clone(), counts.clone()].concat(),
                FormatError::OutOfOrder { structure, index: 3 },
            ),
            (field(3, &[0; 4]), FormatError::WrongLen { structure, expected: 8, found: 4 }),
            (field(3, &[0; 12]), FormatError::WrongLen { structure, expected: 8, found: 12 }),
            (
                blob_counts_field([2, 4].into_iter()).unwrap(),
                FormatError::TooLarge { structure, value: 6, max: 5 },
            ),
        ] {
            assert_eq!(parse(&bytes, 2, 5), Err(error), "{bytes:?}");
        }
        assert!(parse(&counts, 2, 5).unwrap().is_some());
    }
}
