//! Every reference vector and the real directories, read in every way. The packaged crate is
//! without this test, as it is without the vectors: they are in `conformance/`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::BlobNumber;
use sst_reader::{
    Access, Catalog, Lookup, Monitor, ReadValue, ReaderOptions, SstSet, StaticSortedFile,
    verify_directory,
};

fn vectors(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/vectors").join(folder)
}

/// A line of a `.tsv` file: hash, key, and the value, if it is not one in stored form.
struct Line {
    hash: u64,
    key: Vec<u8>,
    value: Option<ReadValue<Vec<u8>>>,
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The bytes of a value as the README of the vectors describes them.
fn value(spec: &str) -> Vec<u8> {
    let parts: Vec<_> = spec.split(':').collect();
    let random = |len: usize, random_len: usize| {
        let mut state = u64::from_str_radix(parts[1], 16).unwrap();
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)).to_be_bytes()
        };
        let mut bytes = Vec::new();
        while bytes.len() < random_len {
            bytes.extend(next());
        }
        bytes.truncate(random_len);
        if random_len < len {
            let word = next();
            while bytes.len() < len {
                bytes.extend(word);
            }
            bytes.truncate(len);
        }
        bytes
    };
    let len = || parts[2].parse::<usize>().unwrap();
    match parts[0] {
        "x" => hex(parts[1]),
        "f" => vec![hex(parts[1])[0]; len()],
        "r" => random(len(), len()),
        "s" => random(len(), len() / 2),
        other => panic!("{other}"),
    }
}

fn lines(path: &Path) -> Vec<Line> {
    let line = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let value = match columns[2] {
            "deleted" => Some(ReadValue::Deleted),
            "blob" => {
                let number = columns[3].strip_prefix("b:").unwrap().parse().unwrap();
                Some(ReadValue::Blob(BlobNumber(number)))
            }
            "raw" => None,
            _ => Some(ReadValue::Value(value(columns[3]))),
        };
        let hash = u64::from_str_radix(columns[0], 16).unwrap();
        Line { hash, key: hex(columns[1]), value }
    };
    fs::read_to_string(path).unwrap().lines().map(line).collect()
}

fn owned(value: ReadValue<&[u8]>) -> ReadValue<Vec<u8>> {
    match value {
        ReadValue::Deleted => ReadValue::Deleted,
        ReadValue::Blob(number) => ReadValue::Blob(number),
        ReadValue::Value(value) => ReadValue::Value(value.to_vec()),
    }
}

fn check_vector(table: &StaticSortedFile, lines: &[Line]) {
    let (mut cursor, mut read) = (table.cursor(), 0);
    while let Some(entry) = cursor.next().unwrap() {
        let line = &lines[read];
        assert_eq!((entry.hash, entry.key), (line.hash, &line.key[..]));
        let found = owned(entry.into_value().unwrap());
        assert!(line.value.as_ref().is_none_or(|value| *value == found));
        read += 1;
    }
    assert_eq!(read, lines.len());
    for same_key in lines.chunk_by(|a, b| (a.hash, &a.key) == (b.hash, &b.key)) {
        let Line { hash, key, value } = &same_key[0];
        let found = match table.lookup(*hash, key).unwrap() {
            Lookup::NotFound => panic!("{key:?} is not found"),
            Lookup::Deleted => ReadValue::Deleted,
            Lookup::Blob(number) => ReadValue::Blob(number),
            Lookup::Value(value) => ReadValue::Value(value.to_vec()),
        };
        assert!(value.as_ref().is_none_or(|value| *value == found));
        assert_eq!(table.lookup_all(*hash, key).unwrap().count(), same_key.len());
        assert_eq!(table.lookup(*hash, [&key[..], b"."].concat()).unwrap(), Lookup::NotFound);
    }
}

#[test]
fn reference_vectors_give_the_entries_that_they_were_made_from() {
    let mut read = 0;
    for file in fs::read_dir(vectors("reference")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        let lines = lines(&path.with_extension("tsv"));
        for access in [Access::Map, Access::Read] {
            let options = ReaderOptions::default().access(access);
            let table = StaticSortedFile::open_standalone(&path, &options).unwrap();
            check_vector(&table, &lines);
            assert_eq!(table.inspect().unwrap().entry_count(), lines.len() as u64);
        }
        read += 1;
    }
    assert_eq!(read, 44);
}

#[test]
fn real_directories_are_read_as_they_are() {
    for name in ["turbopack-tiny", "turbopack-session"] {
        let catalog = Catalog::read(vectors(name)).unwrap();
        assert!(!catalog.is_protected && catalog.certificates.is_empty());
        let mut entries = 0;
        for family in catalog.families() {
            let options = ReaderOptions::default();
            let set = SstSet::open_family(vectors(name), family, &options).unwrap();
            assert_eq!(set.certificate(), None);
            for entry in set.iter() {
                let entry = entry.unwrap();
                entries += 1;
                if let ReadValue::Value(value) = &entry.value {
                    assert_eq!(set.get(&entry.key).unwrap().unwrap(), *value);
                }
            }
        }
        assert!(entries > 0, "{name}");
        let options = ReaderOptions::default();
        let report = verify_directory(vectors(name), &options, &Monitor::default()).unwrap();
        assert!(report.is_intact(), "{report:?}");
    }
}
