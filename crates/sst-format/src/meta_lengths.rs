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

/// Checks that a meta file of `file_len` bytes may be read whole for the sake of a better error: it
/// has no valid head, or its head is damaged. `head` is the error of the head.
///
/// A file of more than [`MAX_UNPROVEN_LEN`] bytes may be only if it has no head at all, and its
/// lengths add up ([`check_lengths`]): the whole of an older version is what can be verified.
///
/// # Errors
///
/// As [`check_lengths`]; `head` as a `damage`.
pub fn check_whole<E>(
    file_len: u64,
    head: Option<FormatError>,
    read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    damage: impl Fn(FormatError) -> E,
) -> Result<(), E> {
    const NO_HEAD: FormatError = FormatError::TooShort {
        structure: Structure::MetaHead,
        needed: HEAD_LOCATION_LEN as u64,
        available: 0,
    };
    match check_lengths(file_len, read, &damage)? {
        // The last bytes of the file do not tell where its head is if there is no error of it.
        Some(Headed::Yes) => Err(damage(head.unwrap_or(NO_HEAD))),
        Some(Headed::No) | None => Ok(()),
    }
}

/// Whether a meta file has a head ([`MetaHead`](crate::meta_head::MetaHead)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headed {
    /// Its head can be read alone.
    Yes,
    /// It must be read whole: it is of version 1 or 2, or the original's.
    No,
}

/// Checks that the lengths which a meta file states add up to `file_len`, the length that it has.
/// Reads 32 bytes of it, in six pieces, with `read`. O(1).
///
/// So a file that was extended, or is none of the format, is found without being read whole: a
/// sparse file of many gigabytes takes no room on disk. A file of up to [`MAX_UNPROVEN_LEN`] bytes
/// is not looked at, and the answer is `None`.
///
/// # Errors
///
/// The error of `read`, or `damage` of the reason why the file is damaged or no meta file.
pub fn check_lengths<E>(
    file_len: u64,
    read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    damage: impl Fn(FormatError) -> E,
) -> Result<Option<Headed>, E> {
    if file_len <= MAX_UNPROVEN_LEN {
        return Ok(None);
    }
    add_up(file_len, read, damage).map(Some)
}

fn add_up<E>(
    file_len: u64,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    damage: impl Fn(FormatError) -> E,
) -> Result<Headed, E> {
    let too_short = |needed| {
        damage(FormatError::TooShort { structure: STRUCTURE, needed, available: file_len })
    };
    let mut word = |at: u64| {
        let needed = at + 4;
        if needed > file_len {
            return Err(too_short(needed));
        }
        u32_at(&read(at..needed)?, 0).ok_or_else(|| too_short(needed))
    };
    match word(0)? {
        META_MAGIC => {}
        found => return Err(damage(FormatError::WrongMagic { found })),
    }
    let tables_at = 12 + 4 * u64::from(word(8)?);
    let tables_len = TABLE_LEN as u64 * u64::from(word(tables_at)?);
    let filters_start = tables_at + 4 + tables_len + 4;
    let filters_end = filters_start + u64::from(word(filters_start - 4)?);
    if filters_end > file_len {
        return Err(too_short(filters_end));
    }
    if filters_end == file_len {
        // The original's, which ends with its filters.
        return Ok(Headed::No);
    }
    let version = word(filters_end)?;
    let last = file_len.saturating_sub(TRAILER_LEN as u64)..file_len;
    let section = match Trailer::parse(&read(last)?) {
        Ok(trailer) => u64::from(trailer.len) + TRAILER_LEN as u64,
        // Bytes behind the filters without a trailer are no section.
        Err(_) => 0,
    };
    let (expected, found) = (filters_end + section, file_len);
    if expected != found {
        return Err(damage(FormatError::WrongLen { structure: STRUCTURE, expected, found }));
    }
    Ok(if version == PROTECTION_VERSION_HEADED { Headed::Yes } else { Headed::No })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;
    use crate::meta_file::MetaFileParts;
    use crate::protection::LiveMeta;

    fn checked(file: &[u8], file_len: u64) -> Result<Headed, FormatError> {
        let read = |range: Range<u64>| {
            assert!(range.end - range.start <= 12, "only a few bytes are read");
            let byte = |at| usize::try_from(at).ok().and_then(|at| file.get(at)).copied();
            // The bytes of a file that was extended are zeros.
            Ok(range.map(|at| byte(at).unwrap_or(0)).collect())
        };
        add_up(file_len, read, |error| error)
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
        assert_eq!(checked(&file, file.len() as u64), Ok(Headed::No));
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

    #[test]
    fn a_short_file_is_not_looked_at() {
        let read = |_| Err(FormatError::WrongMagic { found: 1 });
        let checked = |len| check_whole(len, None, read, |error| error);
        assert_eq!(checked(MAX_UNPROVEN_LEN), Ok(()));
        assert_eq!(checked(MAX_UNPROVEN_LEN + 1), Err(FormatError::WrongMagic { found: 1 }));
    }
}
