//! Damage to files: every bit, every length, every swap. An answer may become an error, never a wrong answer; in a
//! protected directory both asking and verification find all of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_format::block::{BlockHeader, Encoding};
use sst_format::key_block::KeyBlockKind;
use sst_format::offset_table::encode_offset_table;
use sst_reader::{Access, ReadError, ReaderOptions, SstSet, StaticSortedFile, verify_directory};
use sst_torture::model::database::{Changes, Database, Expected};
use sst_torture::model::outcome::Outcome;
use sst_torture::model::table::{Region, blocks_of, region_of};
use sst_torture::model::{
    absent, copy_files, corpus, files, numbered, reader_options, sorted, without_panic,
};
use sst_writer::{Compression, PublisherOptions};

/// What came of damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Ways of damage tried.
    tried: u64,
    /// Found by opening, asking or walking.
    found: u64,
    /// Found by verification.
    verified: u64,
    /// Wrong answers without an error.
    wrong: u64,
}

impl Counts {
    const RIGHT: Self = Self { tried: 1, found: 0, verified: 0, wrong: 0 };
    const FOUND: Self = Self { tried: 1, found: 1, verified: 1, wrong: 0 };

    fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.found += other.found;
        self.verified += other.verified;
        self.wrong += other.wrong;
    }
}

/// Counts by region.
#[derive(Debug, Default)]
struct Tally(BTreeMap<Region, Counts>);

impl Tally {
    fn add(&mut self, region: Region, counts: Counts) {
        self.0.entry(region).or_default().add(counts);
    }

    fn total(&self) -> Counts {
        self.0.values().fold(Counts::default(), |mut sum, &counts| {
            sum.add(counts);
            sum
        })
    }
}

/// Asks a directory everything, and verifies it. Panics and wrong answers fail the test.
fn examine(dir: &Path, expected: &Expected, options: &ReaderOptions, what: &str) -> Counts {
    let asked = without_panic(|| match SstSet::open(dir, options) {
        Ok(set) => expected.judge(&set),
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    });
    let Some(asked) = asked else { panic!("{what}: panic") };
    let Some(report) = without_panic(|| verify_directory(dir, options, &mut |_| {})) else {
        panic!("{what}: panic in verification")
    };
    assert_eq!(asked.wrong, None, "{what}");
    let damage = report.map_or_else(|error| vec![error], |report| report.damage);
    for error in asked.error.iter().chain(&damage) {
        let no_current = matches!(error, ReadError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::NotFound && !dir.join("CURRENT").exists());
        assert!(error.is_corruption() || no_current, "{what}: {error}");
    }
    let (found, verified) = (u64::from(asked.error.is_some()), u64::from(!damage.is_empty()));
    Counts { tried: 1, found, verified, wrong: 0 }
}

/// Flips every bit of every file of a directory, one at a time: asking and verification must find each.
fn flip_all(database: &Database, access: Access, what: &str) {
    let (dir, expected) = (database.dir(), database.expected());
    let options = reader_options().access(access);
    assert_eq!(examine(dir, &expected, &options, what), Counts::RIGHT, "{what}, intact");
    let (mut tally, mut size) = (Tally::default(), 0);
    for path in files(dir) {
        let (original, name) = (fs::read(&path).unwrap(), name_of(&path));
        let blocks = if name.ends_with(".sst") { blocks_of(&original) } else { Vec::new() };
        let mut file = File::options().write(true).open(&path).unwrap();
        for (at, &byte) in original.iter().enumerate() {
            for bit in 0..8 {
                put(&mut file, at, byte ^ (1 << bit));
                let what = format!("{what}, {name}, byte {at}, bit {bit}");
                let counts = examine(dir, &expected, &options, &what);
                assert_eq!(counts, Counts::FOUND, "{what}");
                tally.add(region_of(&name, &blocks, at), counts);
            }
            put(&mut file, at, byte);
        }
        size += original.len() as u64;
    }
    assert_eq!(tally.total().tried, size * 8);
    assert_eq!(examine(dir, &expected, &options, what), Counts::RIGHT, "{what}, restored");
}

fn put(file: &mut File, at: usize, byte: u8) {
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn database(entries: Vec<TestEntry>, compression: Compression) -> Database {
    let mut database = Database::new();
    database.commit(Changes { tables: vec![entries], compression, ..Changes::default() });
    database
}

fn flip_key_blocks(kinds: &[KeyBlockKind]) {
    for &kind in kinds {
        for compression in [Compression::Lz4, Compression::None] {
            flip_all(&database(corpus::entries_for(kind), compression), Access::Map, kind.name());
        }
    }
}

#[test]
fn flips_in_fixed_key_blocks() {
    flip_key_blocks(&corpus::KINDS[2..]);
}

#[test]
fn flips_in_variable_key_blocks() {
    flip_key_blocks(&corpus::KINDS[..2]);
}

#[test]
fn flips_in_values_and_index() {
    for access in [Access::Map, Access::Read] {
        flip_all(&database(corpus::values(), Compression::Lz4), access, "values");
    }
    flip_all(&database(corpus::long_keys(), Compression::Lz4), Access::Map, "index");
}

#[test]
fn flips_in_tables_of_few_entries() {
    flip_all(&database(corpus::multi_value(), Compression::Lz4), Access::Map, "multi-value");
    for value in [TestValue::Inline(vec![1]), TestValue::Small(vec![3; 12])] {
        flip_all(&Database::of_table(vec![TestEntry::new("k", value)]), Access::Map, "one entry");
    }
}

#[test]
fn flips_in_a_directory_with_a_history() {
    for access in [Access::Map, Access::Read] {
        flip_all(&corpus::history(), access, "history");
    }
}

/// Directories in which more than single bits are changed.
fn directories() -> Vec<Database> {
    vec![
        corpus::history(),
        database(corpus::values(), Compression::Lz4),
        database(corpus::entries_for(corpus::KINDS[0]), Compression::None),
        Database::of_table(vec![TestEntry::new("k", TestValue::Small(vec![3; 12]))]),
    ]
}

/// Replaces each file by what `damage` makes of it, one at a time: asking and verification must find each.
fn replace_all(damage: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> u64 {
    let mut tried = 0;
    for database in directories() {
        let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
        for path in files(dir) {
            let original = fs::read(&path).unwrap();
            for damaged in damage(&original) {
                fs::write(&path, &damaged).unwrap();
                let what = format!("{}, {} bytes", name_of(&path), damaged.len());
                assert_eq!(examine(dir, &expected, &options, &what), Counts::FOUND, "{what}");
                tried += 1;
            }
            fs::write(&path, &original).unwrap();
        }
        assert_eq!(examine(dir, &expected, &options, "restored"), Counts::RIGHT);
    }
    tried
}

#[test]
fn every_truncation_is_found() {
    let tried = replace_all(|file| (0..file.len()).map(|len| file[..len].to_vec()).collect());
    assert!(tried > 2000, "{tried}");
}

#[test]
fn appended_bytes_are_found() {
    let tried = replace_all(|file| {
        let lens = [1, 2, 3, 4, 8, 12, 38, 4096];
        let tails = lens.iter().flat_map(|&len| {
            let own = file[file.len().saturating_sub(len)..].to_vec();
            [vec![0; len], vec![0xff; len], own]
        });
        tails.map(|tail| [file, &tail].concat()).collect()
    });
    assert!(tried > 400, "{tried}");
}

#[test]
fn files_that_are_missing_are_found() {
    for database in directories() {
        let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
        for path in files(dir) {
            let original = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let what = format!("{} is missing", name_of(&path));
            assert_eq!(examine(dir, &expected, &options, &what), Counts::FOUND, "{what}");
            fs::write(&path, &original).unwrap();
        }
    }
}

/// The bytes of a table of these blocks, headers included.
fn table_of(blocks: &[&[u8]]) -> Vec<u8> {
    let ends = blocks.iter().scan(0, |end, block| {
        *end += u32::try_from(block.len()).unwrap();
        Some(*end)
    });
    let mut file = blocks.concat();
    encode_offset_table(ends, &mut file);
    file
}

#[test]
fn two_blocks_swapped_are_found() {
    let entries = (0..8).map(|i| {
        let len = 40 + usize::from(i / 4);
        TestEntry::new([i], TestValue::Medium(SplitMix::new(i.into()).bytes(len)))
    });
    for entries in [sorted(entries.collect()), corpus::values(), corpus::long_keys()] {
        let database = database(entries, Compression::Lz4);
        let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
        let path = dir.join("00000001.sst");
        let original = fs::read(&path).unwrap();
        let blocks: Vec<_> = blocks_of(&original).into_iter().map(|r| &original[r]).collect();
        assert_eq!(table_of(&blocks), original);
        let mut tried = 0;
        for i in 0..blocks.len() {
            for j in 0..i {
                let mut swapped = blocks.clone();
                swapped.swap(i, j);
                fs::write(&path, table_of(&swapped)).unwrap();
                let what = format!("blocks {j} and {i} swapped");
                assert_eq!(examine(dir, &expected, &options, &what), Counts::FOUND, "{what}");
                tried += 1;
            }
        }
        assert!(tried >= 6, "{tried}");
    }
}

#[test]
fn a_block_from_another_file_is_found() {
    let table = |seed: u8| {
        let value = |i: u8| match i % 3 {
            0 => TestValue::Inline(vec![seed, i]),
            1 => TestValue::Small(vec![seed; 20]),
            _ => TestValue::Medium(SplitMix::new((seed + i).into()).bytes(50)),
        };
        sorted((0..9).map(|i| TestEntry::new([i], value(i))).collect())
    };
    let mut database = Database::new();
    database.commit(Changes::table(table(1)));
    database.commit(Changes::table(table(101)));
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    let paths = [dir.join("00000001.sst"), dir.join("00000003.sst")];
    let originals = paths.each_ref().map(|path| fs::read(path).unwrap());
    let blocks = originals.each_ref().map(|file| blocks_of(file));
    assert_eq!(blocks[0], blocks[1], "blocks lie in the same places");
    let mut changed = 0;
    for (own, other) in [(0, 1), (1, 0)] {
        for block in &blocks[0] {
            let mut file = originals[own].clone();
            file[block.clone()].copy_from_slice(&originals[other][block.clone()]);
            let is_changed = file != originals[own];
            fs::write(&paths[own], &file).unwrap();
            let what = format!("block at {} from the other table", block.start);
            let counts = examine(dir, &expected, &options, &what);
            assert_eq!(counts, if is_changed { Counts::FOUND } else { Counts::RIGHT }, "{what}");
            changed += u64::from(is_changed);
            fs::write(&paths[own], &originals[own]).unwrap();
        }
    }
    assert!(changed >= 8, "{changed}");
}

#[test]
fn a_stale_file_under_a_new_name_is_found() {
    // Three commits, each replacing the table and the blob of the one before by others of the same lengths.
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
    let (dir, expected) = (database.dir(), database.expected());
    let scratch = database.beside("scratch");
    let originals = files(dir);
    assert_eq!(originals.len(), 10, "{originals:?}");
    let is_live = |path: &Path| {
        let name = name_of(path);
        let live = ["CURRENT", "00000007.blob", "00000008.sst", "00000009.meta"];
        live.contains(&name.as_str())
    };
    let mut found = 0;
    for stale in &originals {
        for target in originals.iter().filter(|target| *target != stale) {
            copy_files(dir, &scratch);
            fs::copy(stale, scratch.join(target.file_name().unwrap())).unwrap();
            let what = format!("{} in place of {}", name_of(stale), name_of(target));
            let counts = examine(&scratch, &expected, &reader_options(), &what);
            let right = if is_live(target) { Counts::FOUND } else { Counts::RIGHT };
            assert_eq!(counts, right, "{what}");
            found += counts.found;
        }
    }
    assert_eq!(found, 4 * 9);
}

/// Single tables without any description. What is known to go unnoticed there is a size word that becomes 0: the
/// compressed bytes then pass for the value. Nothing else does, and with the description nothing at all does.
#[test]
fn flips_in_bare_tables_go_unnoticed_in_size_words_only() {
    let options = reader_options();
    let mut tally = Tally::default();
    for (name, table) in corpus::tables() {
        let blocks = blocks_of(&table.bytes);
        for at in 0..table.bytes.len() {
            for bit in 0..8 {
                let mut bytes = table.bytes.clone();
                bytes[at] ^= 1 << bit;
                let what = format!("{name}, byte {at}, bit {bit}");
                let open =
                    |meta| StaticSortedFile::from_bytes("table", bytes.clone(), meta, &options);
                let bare = open(None);
                let (asked, is_intact) = examine_table(bare, &table.entries, &what);
                let region = region_of("bare.sst", &blocks, at);
                if asked.wrong.is_some() || is_intact {
                    let block = blocks.iter().find(|block| block.contains(&at)).unwrap();
                    let was = BlockHeader::parse(&table.bytes[block.clone()]).unwrap().0.encoding;
                    let is = BlockHeader::parse(&bytes[block.clone()]).unwrap().0.encoding;
                    assert!(matches!((was, is), (Encoding::Lz4 { .. }, Encoding::Raw)), "{what}");
                }
                let described = open(Some(&table.meta));
                let (protected, protected_is_intact) =
                    examine_table(described, &table.entries, &what);
                assert!(protected.error.is_some() && !protected_is_intact, "{what}");
                assert_eq!(protected.wrong, None, "{what}");
                tally.add(
                    region,
                    Counts {
                        tried: 1,
                        found: u64::from(asked.error.is_some()),
                        verified: u64::from(!is_intact),
                        wrong: u64::from(asked.wrong.is_some()),
                    },
                );
            }
        }
    }
    for (region, counts) in &tally.0 {
        let is_known = *region == Region::SizeWord;
        assert_eq!(counts.wrong > 0, is_known, "{region:?}");
        assert_eq!(counts.verified < counts.tried, is_known, "{region:?}");
    }
}

fn examine_table(
    table: Result<StaticSortedFile, ReadError>,
    entries: &[TestEntry],
    what: &str,
) -> (Outcome, bool) {
    let outcome = without_panic(|| match table {
        Ok(table) => {
            let is_intact = table.verify(&mut |_| {}).is_intact();
            (Outcome::of_table(&table, entries, &absent()), is_intact)
        }
        Err(error) => (Outcome { error: Some(error), ..Outcome::default() }, false),
    });
    let Some((outcome, is_intact)) = outcome else { panic!("{what}: panic") };
    assert!(outcome.error.as_ref().is_none_or(ReadError::is_corruption), "{what}");
    (outcome, is_intact)
}
