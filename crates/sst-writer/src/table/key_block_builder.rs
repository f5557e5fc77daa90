//! The builder of key blocks, their index and the filter.

use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::KeyBlockLimit;
use sst_format::limits::MIN_KEY_LEN_TO_COMPRESS;
use sst_format::{BlockIndex, filter::FilterBytes};

use crate::file::Sink;
use crate::invariant::OrBroken;
use crate::table::block_writer::BlockWriter;
use crate::table::filter_feed::FilterFeed;
use crate::table::key_block_boundaries::KeyBlockBoundaries;
use crate::table::pending_entries::PendingEntries;
use crate::table::{WriteError, WriterOptions};

/// Keeps entries until their key block can be written. The index and the filter receive the entries
/// at that time.
pub(crate) struct KeyBlockBuilder {
    /// The entries that are not written yet.
    pub(crate) pending: PendingEntries,
    /// The boundaries of key blocks among them.
    pub(crate) boundaries: KeyBlockBoundaries,
    index: IndexBlockEncoder,
    filter: FilterFeed,
}

impl KeyBlockBuilder {
    pub(crate) fn new(options: &WriterOptions) -> Self {
        Self {
            pending: PendingEntries::default(),
            boundaries: KeyBlockBoundaries::new(KeyBlockLimit::of_bytes(options.key_block_size)),
            index: IndexBlockEncoder::new(),
            filter: FilterFeed::new(options.filter.as_deref()),
        }
    }

    /// Sets the index of the value block for which entries have waited, and writes the key blocks
    /// that are then complete.
    pub(crate) fn resolve(
        &mut self,
        value_block: BlockIndex,
        blocks: &mut BlockWriter<impl Sink>,
    ) -> Result<(), WriteError> {
        self.pending.resolve(value_block)?;
        self.write_ready(blocks)
    }

    /// Writes every closed key block whose entries are resolved. The first entry of the next block
    /// must be resolved too: the original writes blocks in that order.
    pub(crate) fn write_ready(
        &mut self,
        blocks: &mut BlockWriter<impl Sink>,
    ) -> Result<(), WriteError> {
        while let Some(shape) = self.boundaries.take_ready(self.pending.resolved_count()) {
            let hashes = self.pending.first_hashes(&shape)?;
            let first_hash = *hashes.first().or_broken("a closed key block has entries")?;
            self.filter.add(hashes);
            let is_worth_trying = shape.max_key_len() >= MIN_KEY_LEN_TO_COMPRESS;
            let block = blocks.write_key_block(is_worth_trying, |out| {
                let len = usize::try_from(shape.encoded_len()).or_broken("a key block fits")?;
                WriteError::try_reserve(out, len)?;
                Ok(self.pending.encode_first(&shape, out)?)
            })?;
            self.index.push(first_hash, block);
        }
        self.pending.remove_written();
        Ok(())
    }

    /// Returns the payload of the index block, and the filter. All key blocks must be written.
    pub(crate) fn finish(self) -> Result<(Vec<u8>, FilterBytes), WriteError> {
        let filter = self.filter.finish()?;
        let index = self.index.finish().or_broken("the index block has the room it needs")?;
        Ok((index, filter))
    }
}
