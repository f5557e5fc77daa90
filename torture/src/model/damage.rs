//! Kinds of damage to a file. Each kind is a numbered list of single damages.

use sst_conformance::SplitMix;
use sst_format::block::{BlockHeader, Encoding};

use super::subject::SubjectFile;
use super::table::table_of;

/// Highest number of bytes that are appended.
const MAX_APPENDED: usize = 64;

/// A kind of damage to one file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// One flipped bit: bit `offset` or every `step`-th bit after it.
    Bits {
        /// The step; 1 for every bit.
        step: usize,
        /// The first bit, below `step`.
        offset: usize,
    },
    /// The file cut to every shorter length.
    Truncations,
    /// 1 to 64 bytes appended: zeros, ones, or the last bytes of the file repeated.
    Appended,
    /// Each sector of this many bytes filled with zeros.
    Sectors(usize),
    /// Random bursts: the first and the last of 2 to 32 neighbouring bits are flipped, each bit
    /// between them with probability 1/2.
    Bursts {
        /// Number of bursts.
        count: usize,
        /// Seed of the random numbers.
        seed: u64,
    },
    /// Each pair of blocks of a table swapped, with a corrected offset table.
    Swaps,
    /// Each block of a table replaced by each of these, with a corrected offset table.
    Foreign(Vec<Vec<u8>>),
    /// The whole file replaced by each of these.
    Stale(Vec<Vec<u8>>),
    /// The file removed.
    Missing,
}

impl Damage {
    /// Number of single damages of this kind to a file.
    #[must_use]
    pub fn count(&self, file: &SubjectFile) -> usize {
        let (len, blocks) = (file.bytes.len(), file.blocks.len());
        match self {
            Self::Bits { step, offset } => (len * 8).saturating_sub(*offset).div_ceil(*step),
            Self::Truncations => len,
            Self::Appended => 3 * MAX_APPENDED,
            Self::Sectors(size) => len.div_ceil(*size),
            Self::Bursts { count, .. } => *count,
            Self::Swaps => blocks * blocks.saturating_sub(1) / 2,
            Self::Foreign(others) => blocks * others.len(),
            Self::Stale(others) => others.len(),
            Self::Missing => 1,
        }
    }

    /// The content of the file after damage number `i`; `None` if the file is removed.
    #[must_use]
    pub fn apply(&self, file: &SubjectFile, i: usize) -> Option<Vec<u8>> {
        let mut bytes = file.bytes.clone();
        match self {
            Self::Bits { step, offset } => {
                let bit = offset + i * step;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Truncations => bytes.truncate(i),
            Self::Appended => {
                let len = i / 3 + 1;
                match i % 3 {
                    0 => bytes.extend(std::iter::repeat_n(0, len)),
                    1 => bytes.extend(std::iter::repeat_n(0xff, len)),
                    _ => bytes.extend_from_within(bytes.len().saturating_sub(len)..),
                }
            }
            Self::Sectors(size) => {
                let end = ((i + 1) * size).min(bytes.len());
                bytes[i * size..end].fill(0);
            }
            Self::Bursts { seed, .. } => burst(&mut bytes, *seed, i),
            Self::Swaps => return Some(swap(file, i)),
            Self::Foreign(others) => {
                let mut blocks = blocks(file);
                blocks[i / others.len()] = &others[i % others.len()];
                return Some(table_of(&blocks));
            }
            Self::Stale(others) => return Some(others[i].clone()),
            Self::Missing => return None,
        }
        Some(bytes)
    }

    /// A description of damage number `i`, for messages.
    #[must_use]
    pub fn describe(&self, file: &SubjectFile, i: usize) -> String {
        match self {
            Self::Bits { step, offset } => {
                let bit = offset + i * step;
                format!("byte {}, bit {}", bit / 8, bit % 8)
            }
            Self::Truncations => format!("{i} bytes left"),
            Self::Appended => format!("{} bytes appended, kind {}", i / 3 + 1, i % 3),
            Self::Sectors(size) => format!("sector {i} of {size} bytes zeroed"),
            Self::Bursts { .. } => format!("burst {i}"),
            Self::Swaps => format!("blocks {:?} swapped", pair(file, i)),
            Self::Foreign(others) => {
                format!("block {} is foreign block {}", i / others.len(), i % others.len())
            }
            Self::Stale(_) => format!("file {i} under this name"),
            Self::Missing => "missing".to_owned(),
        }
    }

    /// Whether the damaged file still consists of whole blocks or files with valid checksums. Then
    /// only the protection section shows that they are in the wrong place.
    #[must_use]
    pub const fn moves_whole_parts(&self) -> bool {
        matches!(self, Self::Swaps | Self::Foreign(_) | Self::Stale(_))
    }
}

/// The blocks of a table, headers included.
#[must_use]
pub fn blocks(file: &SubjectFile) -> Vec<&[u8]> {
    file.blocks.iter().map(|block| &file.bytes[block.clone()]).collect()
}

/// The two blocks of swap number `i`, the one with the lower index first.
fn pair(file: &SubjectFile, i: usize) -> (usize, usize) {
    let mut rest = i;
    let high = (1..file.blocks.len()).find(|&high| {
        let is_here = rest < high;
        if !is_here {
            rest -= high;
        }
        is_here
    });
    (rest, high.unwrap())
}

fn swap(file: &SubjectFile, i: usize) -> Vec<u8> {
    let (low, high) = pair(file, i);
    let mut blocks = blocks(file);
    blocks.swap(low, high);
    table_of(&blocks)
}

fn burst(bytes: &mut [u8], seed: u64, i: usize) {
    let mut random = SplitMix::new(seed ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bits = bytes.len() * 8;
    let len = (2 + super::below(&mut random, 31)).min(bits);
    let start = super::below(&mut random, bits - len + 1);
    // The first and the last bit are always flipped, so that the burst has exactly this length.
    let pattern = random.word() | 1 | 1 << (len - 1);
    for bit in (0..len).filter(|bit| pattern >> bit & 1 == 1) {
        bytes[(start + bit) / 8] ^= 1 << ((start + bit) % 8);
    }
}

/// Whether a compressed block or blob is taken for a raw one: its size word became 0, and its other
/// bytes are unchanged. The original format cannot detect this.
#[must_use]
pub fn is_taken_for_raw(file: &SubjectFile, damaged: &[u8]) -> bool {
    let whole = 0..file.bytes.len();
    let parts = if file.blocks.is_empty() { std::slice::from_ref(&whole) } else { &file.blocks };
    parts.iter().any(|part| {
        let (Some(before), Some(after)) = (file.bytes.get(part.clone()), damaged.get(part.clone()))
        else {
            return false;
        };
        let encoding = |block| BlockHeader::parse(block).map(|(header, _)| header.encoding);
        matches!((encoding(before), encoding(after)), (Ok(Encoding::Lz4 { .. }), Ok(Encoding::Raw)))
            && before[4..] == after[4..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protection;
    use crate::model::subject::Subject;
    use crate::model::{corpus, table};

    fn file() -> SubjectFile {
        let written = table::write(&corpus::values());
        Subject::of_table("values", &written, Protection::Bare).files.remove(0)
    }

    #[test]
    fn every_way_changes_the_file_and_no_two_bits_are_the_same() {
        let file = file();
        let others = vec![vec![1; 20], vec![2; 30]];
        for damage in [
            Damage::Bits { step: 1, offset: 0 },
            Damage::Truncations,
            Damage::Appended,
            Damage::Bursts { count: 100, seed: 1 },
            Damage::Swaps,
            Damage::Foreign(others.clone()),
            Damage::Stale(others),
        ] {
            let count = damage.count(&file);
            assert!(count > 1, "{damage:?}");
            for i in [0, 1, count / 2, count - 1] {
                assert_ne!(damage.apply(&file, i), Some(file.bytes.clone()), "{damage:?} {i}");
            }
        }
        let step = |offset| Damage::Bits { step: 7, offset }.count(&file);
        assert_eq!((0..7).map(step).sum::<usize>(), file.bytes.len() * 8);
    }

    #[test]
    fn swaps_are_all_pairs() {
        let file = file();
        let pairs: Vec<_> = (0..Damage::Swaps.count(&file)).map(|i| pair(&file, i)).collect();
        let mut expected = Vec::new();
        for high in 0..file.blocks.len() {
            expected.extend((0..high).map(|low| (low, high)));
        }
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_burst_is_as_long_as_it_says() {
        for i in 0..1000 {
            let mut bytes = [0; 40];
            burst(&mut bytes, 3, i);
            let flipped: Vec<usize> =
                (0..320).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1).collect();
            let len = flipped.last().unwrap() - flipped[0] + 1;
            assert!((2..=32).contains(&len), "{len}");
        }
    }
}
