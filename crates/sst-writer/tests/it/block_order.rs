//! The order of blocks in a file. It is that of the reference implementation, except where the
//! bounded queue departs from it.

use sst_writer::WriterOptions;

use crate::support::{Row, Value, order, read, write};

/// Checks the order of blocks for rows in the given order, whatever their keys: the keys are long
/// enough for stored hashes, and the hashes increase.
fn check(values: &[(usize, Value)], expected: &str) {
    let row = |(hash, (key_len, value)): (u64, &(usize, Value))| {
        Row::with_hash(hash, vec![7; *key_len], value.clone())
    };
    let rows: Vec<_> = (0..).zip(values).map(row).collect();
    let finished = write(&rows, WriterOptions::default());
    assert_eq!(order(&finished.output, &finished.meta), expected);
    assert_eq!(read(&finished.output, &finished.meta).len(), rows.len());
}

/// A key length with which two keys do not fit into one key block.
const LONG: usize = 10_000;

fn small(len: usize) -> (usize, Value) {
    (LONG, Value::Small(vec![1; len]))
}

fn medium() -> (usize, Value) {
    (LONG, Value::Medium(vec![2; 5000]))
}

fn inline() -> (usize, Value) {
    (LONG, Value::Inline(vec![3]))
}

#[test]
fn key_block_is_written_once_the_first_entry_of_the_next_is_resolved() {
    check(&[inline()], "k1 i");
    check(&[inline(), inline(), inline()], "k1 k1 k1 i");
    // The entry that starts the second block waits for its value, so the first block waits too.
    check(&[inline(), small(1), inline()], "s k1 k1 k1 i");
    check(&[inline(), inline(), small(1), inline()], "k1 s k1 k1 k1 i");
}

#[test]
fn medium_values_come_before_the_key_block_that_they_close() {
    check(&[inline(), medium(), inline()], "m k1 k1 k1 i");
    // No entry waits for a medium value, but its entry waits for those before it.
    check(&[small(1), medium(), medium()], "m m s k1 k1 k1 i");
}

#[test]
fn value_block_is_written_as_soon_as_it_is_full() {
    check(&[small(8191), inline(), inline()], "s k1 k1 k1 i");
    check(&[small(8192), inline(), inline()], "s k1 k1 k1 i");
    check(&[small(8191), small(1), medium()], "s k1 m k1 k1 i");
    check(&[small(8191), medium(), small(1), medium()], "m s k1 k1 m k1 k1 i");
    check(&[small(8192), small(8192)], "s s k1 k1 i");
}

#[test]
fn waiting_entries_beyond_the_budget_force_the_value_block() {
    // Each entry counts 10,000 bytes of key and 40 more: the 105th waiting entry exceeds 1 MiB.
    let mut values = vec![inline(), small(1)];
    values.resize_with(105, inline);
    check(&values, &format!("s {}i", "k1 ".repeat(105)));
    values.resize_with(106, inline);
    check(&values, &format!("s {}i", "k1 ".repeat(106)));
    // After that, all entries stream, and the next small value starts a new block.
    values.resize_with(150, inline);
    values.push(small(1));
    let streamed = "k1 ".repeat(149);
    check(&values, &format!("s {streamed}s k1 k1 i"));
    // With one waiting entry less, the block is written at the end.
    let mut values = vec![small(1)];
    values.resize_with(104, medium);
    check(&values, &format!("{}s {}i", "m ".repeat(103), "k1 ".repeat(104)));
    values.push(medium());
    check(&values, &format!("{}s {}i", "m ".repeat(104), "k1 ".repeat(105)));
    values.push(medium());
    check(&values, &format!("{}s {}m k1 k1 i", "m ".repeat(104), "k1 ".repeat(104)));
}

#[test]
fn key_blocks_end_at_16_kib_or_819_entries() {
    // 16384 / (20 + 4) entries of 4-byte keys. Entries with equal hashes are never split.
    let mut rows: Vec<_> = (0..683).map(|hash| (hash, 33)).collect();
    let blocks = |rows: &[(u64, usize)]| {
        let row = |(i, &(hash, len)): (u32, &(u64, usize))| {
            let mut key = vec![0; len];
            key[..4].copy_from_slice(&i.to_be_bytes());
            Row::with_hash(hash, key, Value::Deleted)
        };
        let rows: Vec<_> = (0..).zip(rows).map(row).collect();
        let finished = write(&rows, WriterOptions::default());
        order(&finished.output, &finished.meta)
    };
    assert_eq!(blocks(&rows[..309]), "k309 i");
    assert_eq!(blocks(&rows[..310]), "k309 k1 i");
    rows[309].0 = 308;
    assert_eq!(blocks(&rows[..311]), "k310 k1 i");
}

#[test]
fn blocks_end_at_the_sizes_that_options_give() {
    let rows: Vec<_> =
        (0..6).map(|hash| Row::with_hash(hash, vec![7; 40], Value::Small(vec![1; 100]))).collect();
    let order_with = |options| {
        let finished = write(&rows, options);
        assert_eq!(read(&finished.output, &finished.meta).len(), rows.len());
        order(&finished.output, &finished.meta)
    };
    assert_eq!(order_with(WriterOptions::default()), "s k6 i");
    assert_eq!(order_with(WriterOptions::default().value_block_size(200)), "s s s k6 i");
    // Two keys of 40 bytes count as 120.
    assert_eq!(order_with(WriterOptions::default().key_block_size(120)), "s k2 k2 k2 i");
    assert_eq!(order_with(WriterOptions::default().key_block_size(119)), "s k1 k1 k1 k1 k1 k1 i");
    let tiny = WriterOptions::default().value_block_size(0).key_block_size(0);
    assert_eq!(order_with(tiny), "s s k1 s k1 s k1 s k1 s k1 k1 i");
}
