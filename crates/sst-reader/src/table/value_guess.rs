//! A guess at the value block of a key whose key block is not in memory, so that a cold lookup
//! reads both side by side and waits once.
//!
//! A writer writes a key block as soon as the value block of the next key block's first entry is
//! written. So the values of a key block lie in the value block in front of the key block before
//! it, and in the blocks between the two. For example, with blocks numbered from 0:
//!
//! ```text
//! 0: values   1: values   2: keys   3: values   4: values   5: keys
//! ```
//!
//! The first entries of block 5 have their values in block 1, the others in blocks 3 and 4. How
//! many entries of block 5 have their values in block 1 is not known without reading it.

use sst_format::BlockIndex;

use crate::table::key_index::Estimate;
use crate::table::search::Fraction;
use crate::table::static_sorted_file::StaticSortedFile;

/// With more value blocks than this to a key block, the position of a key is not known well enough
/// to tell which block has its value.
const MAX_VALUE_BLOCKS: u16 = 8;

/// The guessed blocks are read if they have at most so many bytes, which are read in vain where the
/// guess is wrong.
const MAX_GUESSED_LEN: usize = 8 << 10;

impl StaticSortedFile {
    /// Starts to read the value blocks that are likely to have the value of a key, if its key block
    /// and they were never read, or were evicted since.
    #[cold]
    pub(crate) fn prefetch_values(&self, estimate: &Estimate) {
        let index = self.key_index();
        let block = |number: Option<usize>| number.and_then(|number| index.block(number));
        let before = block(estimate.number.checked_sub(1));
        let (Some(before), Some(last)) = (before, block(Some(index.key_block_count() - 1))) else {
            return;
        };
        let average = f64::from(last.0) / index.key_block_count() as f64 - 1.0;
        let guess = guess(before, estimate.block, average, estimate.position);
        let blocks = self.blocks();
        let len: usize = guess.into_iter().flatten().filter_map(|block| blocks.len_of(block)).sum();
        if len <= MAX_GUESSED_LEN {
            guess.into_iter().flatten().for_each(|block| blocks.prefetch_missing(block));
        }
    }
}

/// The one or two blocks that have the value of the entry at `position` of key block `keys` with a
/// probability of at least a quarter each. `before` is the key block before it, `average` the
/// number of value blocks between two key blocks of the table. None where the blocks between these
/// two are too few or too many to tell.
fn guess(
    before: BlockIndex,
    keys: BlockIndex,
    average: f64,
    position: Fraction,
) -> [Option<BlockIndex>; 2] {
    let value_blocks = keys.0.saturating_sub(before.0).saturating_sub(1);
    if value_blocks == 0 || value_blocks > MAX_VALUE_BLOCKS {
        return [None, None];
    }
    // How far into its value block the first entry may be, in value blocks: an entry `average`
    // further on is `value_blocks` blocks further on.
    let low = (f64::from(value_blocks) - average).max(0.0);
    let high = (f64::from(value_blocks) + 1.0 - average).min(1.0);
    // Where values differ much in length, the average says nothing of these blocks.
    let (low, high, average) =
        if low < high { (low, high, average) } else { (0.0, 1.0, value_blocks.into()) };
    let entry = average * f64::from(position.of(1 << 16)) / f64::from(1 << 16);
    let quarter = (high - low) / 4.0;
    let [first, second] = [low + quarter, high - quarter].map(|start| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
        let number = (start + entry) as u16;
        match number.min(value_blocks) {
            0 => before.0.checked_sub(1).map(BlockIndex),
            number => before.0.checked_add(number).map(BlockIndex),
        }
    });
    [first, if second == first { None } else { second }]
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Blocks as a writer orders them: for each key block the index of the block of each entry's
    /// value, and the index of the key block itself.
    fn layout(per_keys: usize, per_values: usize, key_blocks: usize) -> Vec<(Vec<u16>, u16)> {
        let mut value_block_at = Vec::new();
        let (mut written, mut index) = (0, 0);
        let mut layout = Vec::new();
        for number in 0..key_blocks {
            // The first entry of the next key block has its value written before.
            while written <= (number + 1) * per_keys {
                value_block_at.extend(std::iter::repeat_n(index, per_values));
                written += per_values;
                index += 1;
            }
            let entries = value_block_at.iter().skip(number * per_keys).take(per_keys);
            layout.push((entries.copied().collect(), index));
            index += 1;
        }
        layout
    }

    #[test]
    fn nearly_every_value_lies_in_a_guessed_block() {
        for (per_keys, per_values) in [(455, 82), (113, 41), (200, 199), (300, 61), (819, 110)] {
            let layout = layout(per_keys, per_values, 50);
            let average = f64::from(layout[49].1) / 50.0 - 1.0;
            let (mut right, mut guessed, mut all) = (0, 0, 0);
            for pair in layout.windows(2) {
                let (before, (values, keys)) = (BlockIndex(pair[0].1), &pair[1]);
                for (i, value) in (0..).zip(values) {
                    let position = Fraction::of_entry(i, u32::try_from(per_keys).unwrap());
                    let guess = guess(before, BlockIndex(*keys), average, position);
                    right += usize::from(guess.contains(&Some(BlockIndex(*value))));
                    guessed += guess.iter().flatten().count();
                    all += 1;
                }
            }
            // At most half of the guesses name two blocks; at most one in eight is wrong.
            assert!(right * 8 > all * 7, "{right} of {all} with {per_keys} and {per_values}");
            assert!(guessed * 100 < all * 160, "{guessed} for {all}");
        }
    }

    #[test]
    fn there_is_no_guess_without_value_blocks_and_with_many() {
        let guess = |keys| guess(BlockIndex(10), BlockIndex(keys), 5.0, Fraction::of_entry(5, 10));
        assert_eq!(guess(11), [None, None]);
        assert_eq!(guess(10), [None, None]);
        assert_eq!(guess(12 + MAX_VALUE_BLOCKS), [None, None]);
        assert_ne!(guess(11 + MAX_VALUE_BLOCKS), [None, None]);
    }
}
