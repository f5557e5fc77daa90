//! Diagnoses bytes that do not match their checksum: reads them again past the caches, and looks
//! for the one flipped bit that explains the difference. No lookup that succeeds gets here.

use sst_format::FormatError;
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};

use crate::block::source::Source;
use crate::block::source::uncached::reread;
use crate::block::syndrome::flipped_bit;
use crate::diagnosis::{Diagnosis, FlippedBit, Origin};
use crate::{Corruption, FileLabel};

/// A block in a file, or a file that is one block.
pub(crate) struct FilePart<'a> {
    pub(crate) label: &'a FileLabel,
    /// Offset of its header in the file.
    pub(crate) start: u64,
}

/// The payload of a block that does not match the checksum in its header. `seen` is the block as it
/// was read, header included.
#[cold]
pub(crate) fn wrong_checksum(
    source: &Source,
    part: &FilePart<'_>,
    seen: &[u8],
    header: BlockHeader,
    computed: u32,
) -> Corruption {
    // `seen` has a header: it was parsed. A wrong length names no bit.
    let payload_len = seen.len().saturating_sub(BLOCK_HEADER_LEN) as u64;
    let stored = header.checksum;
    let flipped = flipped_in_block(stored ^ computed, payload_len);
    let is_right = |again: &[u8]| {
        again.split_first_chunk().is_some_and(|(header, payload)| {
            BlockHeader::from_bytes(*header).checksum == crc32fast::hash(payload)
        })
    };
    let diagnosis = diagnose(source, part, seen, flipped, is_right);
    Corruption::Checksum { stored, computed, diagnosis }
}

/// A file that is not as the format has it. If it is its own checksum, over all bytes before byte
/// `checksum_at`, that it does not match, that is explained.
#[cold]
pub(crate) fn wrong_file(
    label: &FileLabel,
    seen: &[u8],
    checksum_at: usize,
    error: FormatError,
) -> Corruption {
    let FormatError::ChecksumMismatch { stored, computed, .. } = error else { return error.into() };
    let flipped = flipped_before(stored ^ computed, checksum_at as u64);
    let flipped = sst_format::planted!("flip-in-file-unnamed", flipped, None);
    let is_right = |again: &[u8]| {
        let Some((covered, rest)) = again.split_at_checked(checksum_at) else { return false };
        rest.first_chunk().is_some_and(|word| u32::from_be_bytes(*word) == crc32fast::hash(covered))
    };
    // Bytes that cannot be read again have an unknown origin.
    let origin = origin(&FilePart { label, start: 0 }, seen, is_right).unwrap_or_default();
    Corruption::Checksum { stored, computed, diagnosis: Diagnosis { origin, flipped } }
}

/// An area of a meta file that does not match its checksum, which is in the head and right. `seen`
/// is what the file has from byte `start` on.
#[cold]
pub(crate) fn wrong_area(
    label: &FileLabel,
    start: u64,
    seen: &[u8],
    error: FormatError,
) -> Corruption {
    let FormatError::ChecksumMismatch { structure, stored, computed } = error else {
        return error.into();
    };
    let flipped = flipped_bit(stored ^ computed, seen.len() as u64)
        .map(|(byte, bit)| FlippedBit { byte: start + byte, bit });
    let is_right = |again: &[u8]| stored == crc32fast::hash(again);
    // Bytes that cannot be read again have an unknown origin.
    let origin = origin(&FilePart { label, start }, seen, is_right).unwrap_or_default();
    Corruption::Area { structure, stored, computed, diagnosis: Diagnosis { origin, flipped } }
}

/// The one bit that explains the difference between a stored checksum of the `len` bytes before it
/// and the computed one.
fn flipped_before(difference: u32, len: u64) -> Option<FlippedBit> {
    if difference.count_ones() == 1 {
        return Some(word_bit(len, difference.trailing_zeros(), 4));
    }
    flipped_bit(difference, len).map(|(byte, bit)| FlippedBit { byte, bit })
}

/// A header that is not `expected`, its protected copy.
#[cold]
pub(crate) fn wrong_header(
    source: &Source,
    part: &FilePart<'_>,
    seen: &[u8],
    expected: BlockHeader,
) -> Corruption {
    let flipped = seen.first_chunk().and_then(|found| {
        let difference = u64::from_be_bytes(*found) ^ u64::from_be_bytes(expected.to_bytes());
        (difference.count_ones() == 1).then(|| word_bit(0, difference.trailing_zeros(), 8))
    });
    let diagnosis = diagnose(source, part, seen, flipped, |again| expected.matches(again, 0));
    Corruption::HeaderMismatch { diagnosis }
}

/// The bit of a block, counted from its header, that explains a difference between stored and
/// computed checksum.
fn flipped_in_block(difference: u32, payload_len: u64) -> Option<FlippedBit> {
    if difference.count_ones() == 1 {
        // The checksum itself is hit. No bit of a payload of less than 512 MiB has such a syndrome.
        return Some(word_bit(4, difference.trailing_zeros(), 4));
    }
    let (byte, bit) = flipped_bit(difference, payload_len)?;
    Some(FlippedBit { byte: byte + BLOCK_HEADER_LEN as u64, bit })
}

/// Bit number `bit` of a big-endian word of `len` bytes at byte `at`.
fn word_bit(at: u64, bit: u32, len: u64) -> FlippedBit {
    FlippedBit { byte: at + len - 1 - u64::from(bit / 8), bit: (bit % 8) as u8 }
}

fn diagnose(
    source: &Source,
    part: &FilePart<'_>,
    seen: &[u8],
    flipped: Option<FlippedBit>,
    is_right: impl Fn(&[u8]) -> bool,
) -> Diagnosis {
    let flipped = flipped.map(|bit| FlippedBit { byte: part.start + bit.byte, ..bit });
    let origin = match source {
        Source::Memory(_) => Origin::Unknown,
        Source::Mapped(_) | Source::Positioned(_) => {
            origin(part, seen, is_right).unwrap_or_default()
        }
    };
    Diagnosis { origin, flipped }
}

/// `None` if the block cannot be read again.
fn origin(part: &FilePart<'_>, seen: &[u8], is_right: impl Fn(&[u8]) -> bool) -> Option<Origin> {
    let range = part.start..part.start + seen.len() as u64;
    let again = reread(part.label.path(), range).ok()?;
    Some(match (again.bytes == seen, again.is_from_device) {
        (true, true) => Origin::Disk,
        (true, false) => Origin::DiskOrSystemCache,
        (false, _) if is_right(&again.bytes) => Origin::Memory,
        (false, _) => Origin::Unstable,
    })
}

#[cfg(test)]
mod tests {
    use sst_format::block::Encoding;

    use super::*;
    use crate::block::source::{Access, Files};

    /// Miri takes its time: it tries some bytes and bits, and it cannot map files.
    const STEP: usize = if cfg!(miri) { 5 } else { 1 };

    /// A block at byte 5 of a file.
    fn file() -> (tempfile::NamedTempFile, Vec<u8>) {
        let payload = b"a payload that is right";
        let header = BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(payload) };
        let block = [&header.to_bytes()[..], payload].concat();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [b"01234", &block[..]].concat()).unwrap();
        (file, block)
    }

    /// The diagnosis of a block that was read as `seen`, if the file holds `on_disk` by now.
    fn diagnosis(seen: &[u8], on_disk: &[u8]) -> Diagnosis {
        let (file, _) = file();
        std::fs::write(file.path(), [b"01234", on_disk].concat()).unwrap();
        let label = FileLabel::new(file.path());
        let source = Source::open(&label, &Files::of_system(Access::Read)).unwrap();
        let (header, payload) = BlockHeader::parse(seen).unwrap();
        let part = FilePart { label: &label, start: 5 };
        let computed = crc32fast::hash(payload);
        match wrong_checksum(&source, &part, seen, header, computed) {
            Corruption::Checksum { diagnosis, .. } => diagnosis,
            other => unreachable!("{other}"),
        }
    }

    fn is_disk(origin: Origin) -> bool {
        matches!(origin, Origin::Disk | Origin::DiskOrSystemCache)
    }

    #[test]
    fn every_flipped_bit_is_named_and_put_down_to_the_disk() {
        let (_, block) = file();
        for byte in (4..block.len()).step_by(STEP) {
            for bit in (0..8).step_by(STEP) {
                let mut damaged = block.clone();
                damaged[byte] ^= 1 << bit;
                let found = diagnosis(&damaged, &damaged);
                assert_eq!(found.flipped, Some(FlippedBit { byte: 5 + byte as u64, bit }));
                assert!(is_disk(found.origin), "{found:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_right_on_disk_were_damaged_in_memory() {
        let (_, block) = file();
        let mut damaged = block.clone();
        damaged[9] ^= 0x40;
        assert_eq!(diagnosis(&damaged, &block).origin, Origin::Memory);
    }

    #[test]
    fn bytes_that_are_wrong_in_another_way_are_unstable() {
        let (_, block) = file();
        let (mut one, mut other) = (block.clone(), block);
        one[9] ^= 0x41;
        other[10] ^= 0x40;
        let found = diagnosis(&one, &other);
        assert_eq!(found, Diagnosis { origin: Origin::Unstable, flipped: None });
    }

    #[test]
    fn what_cannot_be_read_again_is_unknown() {
        let (_, mut block) = file();
        block[9] ^= 0x40;
        assert_eq!(diagnosis(&block, b"too short").origin, Origin::Unknown);
    }

    #[test]
    fn a_flipped_bit_of_a_file_with_a_checksum_of_its_own_is_named() {
        let content = b"a file";
        let sum = crc32fast::hash(content);
        let file = [&content[..], &sum.to_be_bytes(), b"trailer"].concat();
        let named = |seen: &[u8], on_disk: &[u8]| {
            let disk = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(disk.path(), on_disk).unwrap();
            let (covered, rest) = seen.split_at(content.len());
            let stored = u32::from_be_bytes(*rest.first_chunk().unwrap());
            let computed = crc32fast::hash(covered);
            let structure = sst_format::Structure::Current;
            let error = FormatError::ChecksumMismatch { structure, stored, computed };
            match wrong_file(&FileLabel::new(disk.path()), seen, content.len(), error) {
                Corruption::Checksum { diagnosis, .. } => diagnosis,
                other => unreachable!("{other}"),
            }
        };
        for byte in (0..content.len() + 4).step_by(STEP) {
            for bit in (0..8).step_by(STEP) {
                let mut damaged = file.clone();
                damaged[byte] ^= 1 << bit;
                let found = named(&damaged, &damaged);
                assert_eq!(found.flipped, Some(FlippedBit { byte: byte as u64, bit }));
                assert!(is_disk(found.origin), "{found:?}");
                assert_eq!(named(&damaged, &file).origin, Origin::Memory);
            }
        }
    }

    #[test]
    fn a_flipped_bit_of_a_header_is_named() {
        let (file, block) = file();
        let label = FileLabel::new(file.path());
        let access = if cfg!(miri) { Access::Read } else { Access::Map };
        let source = Source::open(&label, &Files::of_system(access)).unwrap();
        let part = FilePart { label: &label, start: 5 };
        let expected = BlockHeader::parse(&block).unwrap().0;
        for byte in (0..8).step_by(STEP) {
            for bit in (0..8).step_by(STEP) {
                let mut damaged = block.clone();
                damaged[byte] ^= 1 << bit;
                let flipped = Some(FlippedBit { byte: 5 + byte as u64, bit });
                let diagnosis = Diagnosis { origin: Origin::Memory, flipped };
                let found = wrong_header(&source, &part, &damaged, expected);
                assert_eq!(found, Corruption::HeaderMismatch { diagnosis });
            }
        }
    }
}
