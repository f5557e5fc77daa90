//! Small tables and directories that together contain one of every structure of the format.

use sst_conformance::{SplitMix, TestEntry, TestValue, version_3};
use sst_format::key_block::{Hashes, KeyBlockKind};
use sst_writer::table::Compression;
use sst_writer::{PublisherOptions, WriterOptions};

use super::database::{Changes, Database};
use super::table::{Written, write_with};
use super::{below, inline, numbered, sorted};

/// Every kind of key block.
pub const KINDS: [KeyBlockKind; 4] = [
    KeyBlockKind::Variable(Hashes::Stored),
    KeyBlockKind::Variable(Hashes::Computed),
    KeyBlockKind::Fixed(Hashes::Stored),
    KeyBlockKind::Fixed(Hashes::Computed),
];

/// Entries that make a key block of the given kind, which compresses.
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

/// Values in every kind of block: compressed blocks of exactly 8 KiB, a power of two, and raw
/// blocks of equal lengths.
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

/// Three key blocks, so that the index block has entries.
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

/// Values whose compressed blocks have lengths of exactly a power of two. One flipped bit turns the
/// size word of such a block into 0.
#[must_use]
pub fn powers_of_two() -> Vec<TestEntry> {
    let value = |log: u8| SplitMix::new(log.into()).half_random(1 << log);
    let entry = |log| TestEntry::new([b'p', log], TestValue::Medium(value(log)));
    sorted((5..14).map(entry).collect())
}

/// Keys and values of length 0.
#[must_use]
pub fn empties() -> Vec<TestEntry> {
    let empty = [
        TestEntry::new("", TestValue::Inline(Vec::new())),
        TestEntry::new("s", TestValue::Small(Vec::new())),
        TestEntry::new("m", TestValue::Medium(Vec::new())),
    ];
    sorted(empty.into())
}

/// Up to 50 random entries with values of all kinds, about 16 KiB. The seed chooses keys for one
/// kind of key block or for several kinds.
#[must_use]
pub fn mixed(seed: u32) -> Vec<TestEntry> {
    let mut random = SplitMix::new(seed.into());
    let (mut entries, mut size) = (Vec::new(), 0);
    for i in 0..20 + seed % 30 {
        let key_len = match seed % 5 {
            0 => 4,
            1 => 24,
            2 => 40,
            3 => 10 + below(&mut random, 30),
            _ => below(&mut random, 4) * 100,
        };
        let mut key = random.bytes(key_len);
        key.extend(i.to_be_bytes());
        let len = usize::try_from(i).unwrap();
        let value = match (random.word() % 10, seed % 7) {
            (_, 0) | (0..3, _) => TestValue::Inline(random.bytes(len % 9)),
            (3..6, _) => TestValue::Small(random.half_random(len * 20)),
            (6, _) => TestValue::Medium(random.bytes(200)),
            (7, _) => TestValue::Medium(random.half_random(2000)),
            (8, _) => TestValue::Deleted,
            _ => TestValue::Blob(i),
        };
        size += key.len() + value.bytes().map_or(0, <[u8]>::len);
        entries.push(TestEntry::new(key, value));
        if size > 16 << 10 {
            break;
        }
    }
    sorted(entries)
}

/// The entries of [`small_tables`], each with a name.
fn sources() -> Vec<(String, Vec<TestEntry>)> {
    let one = |value| vec![TestEntry::new("k", value)];
    let mut sources = vec![
        ("values".to_owned(), values()),
        ("index".to_owned(), long_keys()),
        ("multi-value".to_owned(), multi_value()),
        ("empties".to_owned(), empties()),
        ("one inline".to_owned(), one(inline(1))),
        ("one small".to_owned(), one(TestValue::Small(vec![3; 12]))),
        ("one medium".to_owned(), one(TestValue::Medium(vec![5; 256]))),
        ("one blob".to_owned(), one(TestValue::Blob(3))),
        ("one tombstone".to_owned(), one(TestValue::Deleted)),
    ];
    sources.extend(KINDS.map(|kind| (kind.name().to_owned(), entries_for(kind))));
    sources
}

fn written(sources: Vec<(String, Vec<TestEntry>)>) -> impl Iterator<Item = (String, Written)> {
    sources.into_iter().flat_map(|(name, entries)| {
        [Compression::Lz4, Compression::None].map(|compression| {
            let options = WriterOptions::default().multi_value(true).compression(compression);
            (format!("{name}, {compression:?}"), write_with(&entries, options))
        })
    })
}

/// Tables of every kind below 1 KiB, each with a name. They are small, so that flipping every bit
/// is quick.
#[must_use]
pub fn small_tables() -> Vec<(String, Written)> {
    written(sources()).filter(|(_, table)| table.bytes.len() < 1024).collect()
}

/// Tables of every kind, in several sizes: 1 MiB together.
#[must_use]
pub fn large_tables() -> Vec<(String, Written)> {
    let mut sources = sources();
    sources.push(("powers of two".to_owned(), powers_of_two()));
    sources.extend((0..64).map(|seed| (format!("mixed {seed}"), mixed(seed))));
    written(sources).collect()
}

/// Directories that together contain one of every structure, each with a name.
#[must_use]
pub fn directories() -> Vec<(String, Database)> {
    let mut families = Database::new();
    for family in [0, 7_u8] {
        let value = |i: u32| TestValue::Inline([&[family][..], &i.to_be_bytes()].concat());
        let tables = vec![numbered(3, value), numbered(2, |_| TestValue::Small(vec![1; 30]))];
        families.commit(Changes { family: family.into(), tables, ..Changes::default() });
    }
    let mut empty = Database::new();
    empty.commit(Changes::default());
    let mut blobs = Database::new();
    blobs.commit(Changes {
        tables: vec![sorted(
            (0..3).map(|i| TestEntry::new([i], TestValue::Blob(i.into()))).collect(),
        )],
        blobs: vec![vec![7; 256], SplitMix::new(1).bytes(30), Vec::new()],
        ..Changes::default()
    });
    let mut raw = Database::new();
    raw.commit(Changes {
        tables: vec![entries_for(KINDS[0])],
        compression: Compression::None,
        ..Changes::default()
    });
    let headed = history();
    version_3::rewrite(headed.dir()).unwrap();
    let mut parts = Database::new();
    parts.commit(Changes::table(numbered(3, |_| inline(0))));
    let tables = vec![numbered(4, |_| inline(5)), numbered(2, |_| TestValue::Deleted)];
    parts.commit(Changes { tables, ..Changes::default() });
    version_3::rewrite(parts.dir()).unwrap();
    vec![
        ("history, version 3".to_owned(), headed),
        ("commit of two meta files".to_owned(), parts),
        ("history".to_owned(), history()),
        ("families".to_owned(), families),
        ("empty commit".to_owned(), empty),
        ("blobs".to_owned(), blobs),
        ("raw".to_owned(), raw),
        ("one".to_owned(), Database::of_table(vec![TestEntry::new("k", inline(1))])),
        ("filters".to_owned(), Database::of_table(numbered(300, |_| inline(1)))),
    ]
}

/// A directory of three commits. Each commit replaces the table and the blob of the one before by a
/// table and a blob of the same lengths. The old files are kept.
#[must_use]
pub fn replaced() -> Database {
    let options = PublisherOptions::default().keep_obsolete_files(true);
    let mut database = Database::with_options(options);
    let mut obsolete = Vec::new();
    for i in 0..3_u8 {
        let blob = TestEntry::new("blob", TestValue::Blob(i.into()));
        let table = numbered(5, |n| TestValue::Small(vec![i, n.to_be_bytes()[3]]));
        let tables = vec![sorted([table, vec![blob]].concat())];
        let blobs = vec![SplitMix::new(i.into()).bytes(64)];
        obsolete = database.commit(Changes { tables, blobs, obsolete, ..Changes::default() });
    }
    database
}

/// A directory of three commits, with values replaced, deleted and made obsolete, and with blobs.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::files;

    #[test]
    fn the_corpus_is_as_large_as_promised() {
        let tables = large_tables();
        let mut lens: Vec<u64> = tables.iter().map(|(_, t)| t.bytes.len() as u64).collect();
        for (_, database) in directories() {
            lens.extend(files(database.dir()).iter().map(|file| file.metadata().unwrap().len()));
        }
        assert!(lens.len() >= 64, "{}", lens.len());
        assert!(lens.iter().sum::<u64>() >= 1 << 20, "{}", lens.iter().sum::<u64>());
        assert!(small_tables().len() >= 20);
    }
}
