//! Key blocks of all kinds: access is safe for any bytes. A valid block equals the encoder's output
//! for the same entries, if the encoder would choose the same kind.

use sst_format::key_block::{KeyBlock, KeyBlockEncoder, KeyBlockShape, KeyEntry};
use sst_reader::hash_key;

/// Number of entries read at each end of a block that is not valid.
const ASKED: u32 = 64;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let Ok(block) = KeyBlock::parse(data) else { return };
    let count = block.entry_count();
    assert!(count > 0);
    assert!(block.entry(count).is_err() && block.entry(u32::MAX).is_err());
    for i in (0..count.min(ASKED)).chain(count.saturating_sub(ASKED)..count) {
        _ = block.key(i);
        _ = block.value_ref(i);
    }
    if block.validate(hash_key).is_ok() {
        check_valid(data, &block);
    }
}

fn check_valid(data: &[u8], block: &KeyBlock<'_>) {
    let entries: Vec<KeyEntry<'_>> =
        (0..block.entry_count()).filter_map(|i| block.entry(i).ok()).collect();
    assert_eq!(entries.len(), block.entry_count() as usize);
    let hash_of = |entry: &KeyEntry<'_>| entry.stored_hash.unwrap_or_else(|| hash_key(entry.key));
    assert!(entries.is_sorted_by(|a, b| (hash_of(a), a.key) <= (hash_of(b), b.key)));
    let mut shape = KeyBlockShape::default();
    for entry in &entries {
        let Ok(longer) = shape.with_entry(entry.key.len(), entry.entry_type) else { return };
        shape = longer;
    }
    if shape.kind() != block.kind() {
        return;
    }
    let mut bytes = Vec::new();
    let mut encoder = KeyBlockEncoder::new(&shape, &mut bytes);
    for entry in &entries {
        let value_ref = entry.value_ref();
        assert!(value_ref.is_ok(), "a valid entry has a value");
        if let Ok(value_ref) = value_ref {
            encoder.push(hash_of(entry), entry.key, value_ref);
        }
    }
    assert!(encoder.finish() == Ok(block.kind()));
    assert_eq!(bytes, data);
}
