//! The keys that are lost with damaged blocks and blobs.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, BlockIndex, FormatError};

use crate::block::blocks::Fill;
use crate::error::ReadError;
use crate::table::static_sorted_file::StaticSortedFile;

/// Something that a lookup cannot give any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected<'a> {
    /// The value of a key: it is in a damaged block.
    ValueInBlock {
        /// The damaged block.
        block: BlockIndex,
        /// The key.
        key: &'a [u8],
    },
    /// The value of a key: it is a damaged blob.
    ValueInBlob {
        /// The damaged blob.
        blob: BlobNumber,
        /// The key.
        key: &'a [u8],
    },
    /// All keys whose hashes are in a range: the block that holds them is damaged, and their names
    /// with it.
    Hashes {
        /// The damaged block: a key block, or the index block.
        block: BlockIndex,
        /// The range.
        hashes: RangeInclusive<u64>,
    },
}

impl StaticSortedFile {
    /// Tells `visit` which keys are lost with these damaged blocks of the table and these damaged
    /// blobs, in the order of their hashes. Reads all key blocks: O(number of entries). Nothing is
    /// kept, however many keys there are.
    ///
    /// # Errors
    ///
    /// The error of `visit`, which ends the walk; [`ReadError`] if a block cannot be read for
    /// another reason than damage. Its keys are not lost: the file may be intact.
    pub fn affected_by<E: From<ReadError>>(
        &self,
        blocks: &BTreeSet<BlockIndex>,
        blobs: &BTreeSet<BlobNumber>,
        visit: &mut dyn FnMut(Affected<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let index_block = self.blocks().index_block();
        let all = self.min_hash()..=self.max_hash();
        let lost = Affected::Hashes { block: index_block, hashes: all.clone() };
        if blocks.contains(&index_block) {
            return visit(lost);
        }
        let payload = match self.blocks().raw_payload(index_block) {
            Ok(payload) => payload,
            Err(error) if error.is_corruption() => return visit(lost),
            Err(error) => return Err(error.into()),
        };
        let Ok(index) = IndexBlock::parse(payload.as_slice()) else { return visit(lost) };
        for (i, block) in index.blocks().enumerate() {
            // The index has no first hash for its first key block.
            let low = index.first_hash(i).unwrap_or(*all.start());
            // The first hash of the next key block is not in this one: equal hashes are never
            // split. A damaged index may have a first hash of 0 there, below which there is none.
            let high = index.first_hash(i + 1).map_or(*all.end(), |next| next.saturating_sub(1));
            let lost = Affected::Hashes { block, hashes: low..=high };
            if blocks.contains(&block) {
                visit(lost)?;
            } else if let Err(stopped) = self.visit_values(block, blocks, blobs, visit) {
                match stopped {
                    Stopped::Failed(error) => return Err(error),
                    Stopped::Damaged => visit(lost)?,
                }
            }
        }
        Ok(())
    }

    /// The entries of one key block whose values are lost.
    fn visit_values<E: From<ReadError>>(
        &self,
        block: BlockIndex,
        blocks: &BTreeSet<BlockIndex>,
        blobs: &BTreeSet<BlobNumber>,
        visit: &mut dyn FnMut(Affected<'_>) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let payload = self.blocks().payload(block, Fill::Bypass)?;
        let key_block = KeyBlock::parse(payload.as_slice())?;
        for i in 0..key_block.entry_count() {
            let entry = key_block.entry(i)?;
            let key = entry.key;
            let lost = match entry.value_ref()? {
                ValueRef::Small { block, .. } | ValueRef::Medium(block)
                    if blocks.contains(&block) =>
                {
                    Affected::ValueInBlock { block, key }
                }
                ValueRef::Blob(blob) if blobs.contains(&blob) => {
                    Affected::ValueInBlob { blob, key }
                }
                ValueRef::Small { .. }
                | ValueRef::Medium(_)
                | ValueRef::Blob(_)
                | ValueRef::Inline(_)
                | ValueRef::Deleted => continue,
            };
            visit(lost).map_err(Stopped::Failed)?;
        }
        Ok(())
    }
}

/// Why a key block was not walked to its end.
enum Stopped<E> {
    /// The visitor failed, or the block could not be read for another reason than damage.
    Failed(E),
    /// The block is damaged.
    Damaged,
}

impl<E: From<ReadError>> From<ReadError> for Stopped<E> {
    fn from(error: ReadError) -> Self {
        if error.is_corruption() { Self::Damaged } else { Self::Failed(error.into()) }
    }
}

impl<E> From<FormatError> for Stopped<E> {
    fn from(_: FormatError) -> Self {
        Self::Damaged
    }
}
