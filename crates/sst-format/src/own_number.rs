//! Checks of a meta file against its own sequence number (FORMAT.md section 9, "Rules for readers
//! and writers").
//!
//! The number is in the name of the file and not in its bytes, so parsing cannot do these checks.
//! [`MetaFile::check_number`](crate::meta_file::MetaFile::check_number) does all of them for a file
//! that was read whole. A reader of heads does each when it has read what the check needs.

use crate::protection::LiveMeta;
use crate::{FormatError, SequenceNumber};

/// Checks that the tables or blobs that meta file `own` describes have numbers below its own.
///
/// A number is given when a file is begun, and the meta file is the last file of its commit. A file
/// with a higher number is a leftover of a commit that did not happen, and a writer removes it.
///
/// # Errors
///
/// [`FormatError::NotOlder`].
pub fn check_older(
    own: SequenceNumber,
    mut numbers: impl Iterator<Item = u32>,
) -> Result<(), FormatError> {
    let not_older = numbers.find(|number| *number >= own.0);
    not_older.map_or(Ok(()), |number| Err(FormatError::NotOlder { number, own }))
}

/// Checks that meta file `own` can be a part of `commit`: that is a newer meta file, and a part
/// lists no live meta files and certifies nothing. A meta file that is no part passes.
///
/// # Errors
///
/// [`FormatError::WrongPart`].
pub fn check_part(
    own: SequenceNumber,
    commit: SequenceNumber,
    lists_nothing: bool,
) -> Result<(), FormatError> {
    if commit == own || (commit > own && lists_nothing) {
        return Ok(());
    }
    Err(FormatError::WrongPart { commit })
}

/// Checks that a list of live meta files, in ascending order, ends with the meta file `own` that
/// holds it, with 0 in place of its checksum. It is not about parts, which list nothing.
///
/// # Errors
///
/// [`FormatError::NotListedLast`].
pub fn check_list(
    own: SequenceNumber,
    listed: impl Iterator<Item = LiveMeta>,
) -> Result<(), FormatError> {
    match listed.last() {
        Some(LiveMeta { sequence, checksum: 0 }) if sequence == own => Ok(()),
        _ => Err(FormatError::NotListedLast { own }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SequenceNumber = SequenceNumber(7);

    #[test]
    fn described_files_are_older_than_their_meta_file() {
        assert_eq!(check_older(OWN, [1, 6].into_iter()), Ok(()));
        for number in [7, 8, u32::MAX] {
            let expected = Err(FormatError::NotOlder { number, own: OWN });
            assert_eq!(check_older(OWN, [1, number, 2].into_iter()), expected);
        }
    }

    #[test]
    fn a_part_is_older_than_its_commit_and_lists_nothing() {
        for (commit, lists_nothing, is_right) in [
            (7, true, true),
            (7, false, true),
            (8, true, true),
            (8, false, false),
            (6, true, false),
        ] {
            let commit = SequenceNumber(commit);
            let expected = if is_right { Ok(()) } else { Err(FormatError::WrongPart { commit }) };
            assert_eq!(check_part(OWN, commit, lists_nothing), expected);
        }
    }

    #[test]
    fn a_list_ends_with_its_own_file() {
        let list = |rows: &[(u32, u32)]| {
            let live = |&(number, checksum): &(u32, u32)| LiveMeta {
                sequence: SequenceNumber(number),
                checksum,
            };
            check_list(OWN, rows.iter().map(live))
        };
        assert_eq!(list(&[(7, 0)]), Ok(()));
        assert_eq!(list(&[(3, 5), (7, 0)]), Ok(()));
        for wrong in [&[][..], &[(3, 5)], &[(7, 5)], &[(7, 0), (8, 5)], &[(7, 0), (8, 0)]] {
            assert_eq!(list(wrong), Err(FormatError::NotListedLast { own: OWN }), "{wrong:?}");
        }
    }
}
