//! The lengths that a meta file states, checked before the file is read whole.

use alloc::vec::Vec;
use core::ops::Range;

use crate::bytes::u32_at;
use crate::meta_head::{HEAD_LOCATION_LEN, PROTECTION_VERSION_HEADED};
use crate::meta_start::{META_MAGIC, TABLE_LEN};
use crate::protection_records::{TRAILER_LEN, Trailer};
use crate::{FormatError, Structure};

/// Longest meta file, in bytes, that a reader reads whole although its lengths may contradict each
/// other: only the whole file tells which bit of it was flipped. Of a longer one, [`check_lengths`]
/// is asked first.
pub const MAX_UNPROVEN_LEN: u64 = 16 << 20;

const STRUCTURE: Structure = Structure::MetaFile;

/// The reason why [`check_lengths`] has ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthsError<E> {
    /// The file could not be read.
    Read(E),
    /// The file is damaged or no meta file.
    Format(FormatError),
}

impl<E> From<FormatError> for LengthsError<E> {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Checks that the lengths which a meta file states add up to `file_len`, the length that it has.
/// Reads 32 bytes of it, in six pieces, with `read`. O(1).
///
/// So a file that was extended, or is none of the format, is found without being read whole: a
/// sparse file of many gigabytes takes no room on disk. Returns whether the file has a head
/// ([`MetaHead`](crate::meta_head::MetaHead)). One without a head must be read whole.
///
/// # Errors
///
/// [`LengthsError`].
pub fn check_lengths<E>(
    file_len: u64,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<bool, LengthsError<E>> {
    let too_short =
        |needed| FormatError::TooShort { structure: STRUCTURE, needed, available: file_len };
    let mut word = |at: u64| {
        let needed = at + 4;
        if needed > file_len {
            return Err(LengthsError::Format(too_short(needed)));
        }
        let bytes = read(at..needed).map_err(LengthsError::Read)?;
        Ok(u32_at(&bytes, 0).ok_or_else(|| too_short(needed))?)
    };
    match word(0)? {
        META_MAGIC => {}
        found => return Err(FormatError::WrongMagic { found }.into()),
    }
    let tables_at = 12 + 4 * u64::from(word(8)?);
    let tables_len = TABLE_LEN as u64 * u64::from(word(tables_at)?);
    let filters_start = tables_at + 4 + tables_len + 4;
    let filters_end = filters_start + u64::from(word(filters_start - 4)?);
    if filters_end > file_len {
        return Err(too_short(filters_end).into());
    }
    if filters_end == file_len {
        // The original's, which ends with its filters.
        return Ok(false);
    }
    let version = word(filters_end)?;
    let last = file_len.saturating_sub(TRAILER_LEN as u64)..file_len;
    let section = match Trailer::parse(&read(last).map_err(LengthsError::Read)?) {
        Ok(trailer) => u64::from(trailer.len) + TRAILER_LEN as u64,
        // Bytes behind the filters without a trailer are no section.
        Err(_) => 0,
    };
    let (expected, found) = (filters_end + section, file_len);
    if expected != found {
        return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found }.into());
    }
    Ok(version == PROTECTION_VERSION_HEADED)
}

/// The error of a meta file that has a head, but whose last bytes do not tell where.
#[must_use]
pub const fn no_head() -> FormatError {
    let needed = HEAD_LOCATION_LEN as u64;
    FormatError::TooShort { structure: Structure::MetaHead, needed, available: 0 }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;
    use crate::SequenceNumber;
    use crate::meta_file::MetaFileParts;
    use crate::protection::LiveMeta;

    fn checked(file: &[u8], file_len: u64) -> Result<bool, FormatError> {
        let read = |range: Range<u64>| {
            assert!(range.end - range.start <= 12, "only a few bytes are read");
            let byte = |at| usize::try_from(at).ok().and_then(|at| file.get(at)).copied();
            // The bytes of a file that was extended are zeros.
            Ok::<Vec<u8>, Infallible>(range.map(|at| byte(at).unwrap_or(0)).collect())
        };
        check_lengths(file_len, read).map_err(|error| match error {
            LengthsError::Format(error) => error,
            LengthsError::Read(never) => match never {},
        })
    }

    fn encoded() -> Vec<u8> {
        let live = [LiveMeta { sequence: SequenceNumber(7), checksum: 0 }];
        let parts = MetaFileParts {
            family: 0,
            obsolete: &[SequenceNumber(3)],
            tables: &[],
            live_metas: &live,
            blobs: &[],
            certificates: &[],
        };
        parts.encode(|_| 0).unwrap().0
    }

    #[test]
    fn the_lengths_of_an_intact_file_add_up() {
        let file = encoded();
        assert_eq!(checked(&file, file.len() as u64), Ok(false));
    }

    #[test]
    fn a_file_of_another_length_is_found_without_reading_it() {
        let file = encoded();
        let extended = 6 << 30;
        let error = checked(&file, extended).unwrap_err();
        let FormatError::WrongLen { structure, found, .. } = error else { panic!("{error}") };
        assert_eq!((structure, found), (Structure::MetaFile, extended));
        for len in 0..file.len() {
            // Its start alone is a whole meta file of the original's.
            let is_bare = len == 24;
            assert_eq!(checked(&file[..len], len as u64).is_ok(), is_bare, "{len}");
        }
    }

    #[test]
    fn a_file_of_zeros_is_no_meta_file() {
        let error = checked(&[], 6 << 30).unwrap_err();
        assert_eq!(error, FormatError::WrongMagic { found: 0 });
    }
}
