//! Small tables and directories that have one of everything.

use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_format::key_block::{Hashes, KeyBlockKind};
use sst_writer::{Compression, WriterOptions};

use super::database::{Changes, Database};
use super::table::{Written, write_with};
use super::{inline, numbered, sorted};

/// Every kind of key block.
pub const KINDS: [KeyBlockKind; 4] = [
    KeyBlockKind::Variable(Hashes::Stored),
    KeyBlockKind::Variable(Hashes::Computed),
    KeyBlockKind::Fixed(Hashes::Stored),
    KeyBlockKind::Fixed(Hashes::Computed),
];

/// Entries whose key block is of the given kind, and compresses.
pub fn entries_for(kind: KeyBlockKind) -> Vec<TestEntry> {
    let value = |i: u8| match (kind, i % 5) {
        (KeyBlockKind::Fixed(_), _) | (_, 0) => TestValue::Inline(vec![i, i + 1]),
        (_, 1) => TestValue::Small(vec![i; 10]),
        (_, 2) => TestValue::Medium(b"a medium value".to_vec()),
        (_, 3) => TestValue::Deleted,
        _ => TestValue::Inline(Vec::new()),
    };
    let key_len = |i: u8| match kind {
        KeyBlockKind::Fixed(Hashes::Computed) => 20,
        KeyBlockKind::Fixed(Hashes::Stored) => 40,
        KeyBlockKind::Variable(Hashes::Computed) => 18 + usize::from(i % 3),
        KeyBlockKind::Variable(Hashes::Stored) => 33 + usize::from(i % 3),
    };
    let entry = |i| TestEntry::new([&vec![b'k'; key_len(i) - 1][..], &[i]].concat(), value(i));
    sorted((0..7).map(entry).collect())
}

/// Values in every kind of block: compressed ones of exactly 8 KiB, a power of two, and raw ones of equal lengths.
pub fn values() -> Vec<TestEntry> {
    let mut entries: Vec<_> =
        (0..4).map(|i| TestEntry::new([b's', i], TestValue::Small(vec![i; 2048]))).collect();
    entries.push(TestEntry::new("medium, 8 KiB", TestValue::Medium(vec![7; 8192])));
    entries.extend(
        (0..3).map(|i| {
            TestEntry::new([b'm', i], TestValue::Medium(SplitMix::new(i.into()).bytes(32)))
        }),
    );
    sorted(entries)
}

/// Three key blocks, so that the index has something to tell.
pub fn long_keys() -> Vec<TestEntry> {
    let entry = |i: u8| TestEntry::new([&[b'l'; 8999][..], &[i]].concat(), inline(i));
    sorted((0..3).map(entry).collect())
}

/// Several entries of each key, a tombstone last.
pub fn multi_value() -> Vec<TestEntry> {
    let mut entries: Vec<_> = (0..6).map(|i| TestEntry::new([i % 2], inline(i))).collect();
    entries.push(TestEntry::new([0], TestValue::Deleted));
    entries.push(TestEntry::new("", TestValue::Deleted));
    sorted(entries)
}

/// Every kind of table there is, each with a name.
pub fn tables() -> Vec<(String, Written)> {
    let one = |value| vec![TestEntry::new("k", value)];
    let mut sources = vec![
        ("values".to_owned(), values()),
        ("index".to_owned(), long_keys()),
        ("multi-value".to_owned(), multi_value()),
        ("one inline".to_owned(), one(inline(1))),
        ("one small".to_owned(), one(TestValue::Small(vec![3; 12]))),
        ("one medium".to_owned(), one(TestValue::Medium(vec![5; 256]))),
        ("one blob".to_owned(), one(TestValue::Blob(3))),
        ("one tombstone".to_owned(), one(TestValue::Deleted)),
    ];
    sources.extend(KINDS.map(|kind| (kind.name().to_owned(), entries_for(kind))));
    let mut tables = Vec::new();
    for (name, entries) in sources {
        for compression in [Compression::Lz4, Compression::None] {
            let options = WriterOptions::default().multi_value(true).compression(compression);
            let table = write_with(&entries, options);
            // A test that flips every bit has no time for the raw form of large ones.
            if table.bytes.len() < 1024 {
                tables.push((format!("{name}, {compression:?}"), table));
            }
        }
    }
    tables
}

/// A directory with the history of three commits: values replaced, deleted and made obsolete, and blobs.
pub fn history() -> Database {
    let mut database = Database::new();
    let blob = |i: u8| TestEntry::new([b'b', i], TestValue::Blob(i.into()));
    let small = |i: u32| TestValue::Small(i.to_be_bytes().repeat(3));
    let blobs = vec![blob(0), blob(1)];
    let obsolete = database.commit(Changes {
        tables: vec![numbered(3, |_| inline(0)), sorted([numbered(4, small), blobs].concat())],
        blobs: vec![vec![7; 4096], SplitMix::new(2).bytes(40)],
        ..Changes::default()
    });
    database.commit(Changes::table(numbered(2, |_| TestValue::Deleted)));
    database.commit(Changes {
        tables: vec![sorted(vec![TestEntry::new(0_u32.to_be_bytes(), inline(9)), blob(1)])],
        obsolete: obsolete[..1].to_vec(),
        ..Changes::default()
    });
    database
}
