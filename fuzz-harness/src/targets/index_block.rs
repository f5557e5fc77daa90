//! The index block: a valid one equals the encoder's output for the same key blocks.

use sst_format::index_block::{IndexBlock, IndexBlockEncoder};

use crate::input::Input;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let block_count = input.u16();
    let payload = input.rest();
    let Ok(index) = IndexBlock::parse(payload) else { return };
    let count = index.key_block_count();
    assert_eq!(index.blocks().count(), count);
    for i in [0, count - 1] {
        assert!(index.block(i).is_ok());
        assert_eq!(index.first_hash(i).is_none(), i == 0);
    }
    for i in [count, usize::MAX] {
        assert!(index.block(i).is_err() && index.first_hash(i).is_none());
    }
    if index.validate(block_count).is_err() {
        return;
    }
    let mut encoder = IndexBlockEncoder::new();
    for (i, block) in index.blocks().enumerate() {
        assert!(block.0 + 1 < block_count);
        // The first key block has no stored hash, and the encoder ignores the hash given for it.
        encoder.push(index.first_hash(i).unwrap_or(0), block);
    }
    assert_eq!(encoder.finish().as_deref(), Ok(payload));
}
