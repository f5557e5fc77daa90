//! The second decoder: plain Python that shares no code with ours (conformance/decoder/). Both must agree.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use sst_amqf::QuotientFilter;
use sst_reader::{Catalog, ReadError, ReaderOptions, StaticSortedFile};
use sst_writer::{Publisher, PublisherOptions, WriterOptions};

use crate::digest::EntryDigest;
use crate::{CheckError, Row, SplitMix, TestEntry, TestValue, directories, fail, vectors};

/// Checks that both decoders give the same digests for every vector, every real directory, and tables of random shape.
#[must_use]
pub fn check(root: &Path) -> Row {
    let mut row = Row::new("second decoder agrees");
    let Some(python) = python() else {
        row.skipped = Some("there is no Python 3.10 or later on this machine".to_owned());
        return row;
    };
    let decoder = Decoder { python, script: root.join("conformance/decoder/decode.py") };
    let vectors_dir = root.join("conformance/vectors");
    match vectors::load(&vectors_dir.join("reference")) {
        Ok(cases) => {
            for case in &cases {
                row.count(&case.name, decoder.compare_table(&case.path));
            }
        }
        Err(error) => row.count("manifest.json", Err(error)),
    }
    match directories::names(&vectors_dir) {
        Ok(names) => {
            for name in names {
                row.count(&name, decoder.compare_directory(&vectors_dir.join(&name)));
            }
        }
        Err(error) => row.count("directories", Err(error)),
    }
    for seed in 0..RANDOM_DIRECTORIES {
        row.count(&format!("random directory {seed}"), decoder.compare_random(seed));
    }
    row
}

const RANDOM_DIRECTORIES: u64 = 20;

/// The name of a Python that can run the decoder.
fn python() -> Option<OsString> {
    ["python3", "python"].into_iter().map(OsString::from).find(|name| {
        Command::new(name)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
            .status()
            .is_ok_and(|status| status.success())
    })
}

struct Decoder {
    python: OsString,
    script: PathBuf,
}

/// Number of entries and digest of one table.
type TableDigest = (u64, String);

impl Decoder {
    /// What the second decoder makes of a file or a directory: one digest for each table, sorted.
    fn digests(&self, path: &Path) -> Result<Vec<TableDigest>, CheckError> {
        let output = Command::new(&self.python)
            .arg("-B")
            .arg(&self.script)
            .arg(path)
            .arg("--digest")
            .output()
            .map_err(|error| CheckError::new(format!("cannot run Python: {error}")))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return fail(format!("the second decoder refuses: {}", message.trim()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut digests = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let mut columns = line.split('\t');
                let digest = columns.next()?.to_owned();
                Some((columns.next()?.parse().ok()?, digest))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| CheckError::new(format!("cannot read its output: {text}")))?;
        digests.sort();
        Ok(digests)
    }

    fn compare_table(&self, path: &Path) -> Result<(), CheckError> {
        let options = ReaderOptions::default();
        let table = StaticSortedFile::open_standalone(path, &options).map_err(failed)?;
        agree(vec![digest(&table).map_err(failed)?], self.digests(path)?)
    }

    fn compare_directory(&self, dir: &Path) -> Result<(), CheckError> {
        let catalog = Catalog::read(dir).map_err(failed)?;
        let options = ReaderOptions::default().filter(QuotientFilter::default());
        let ours = catalog
            .tables
            .iter()
            .map(|table| {
                let file = StaticSortedFile::open(&table.path(dir), &table.meta, &options)?;
                digest(&file)
            })
            .collect::<Result<_, ReadError>>()
            .map_err(failed)?;
        agree(ours, self.digests(dir)?)
    }

    /// Publishes two commits of tables of random shape, which both decoders then read.
    fn compare_random(&self, seed: u64) -> Result<(), CheckError> {
        let parent = tempfile::tempdir().map_err(|error| CheckError::new(error.to_string()))?;
        let dir = parent.path().join("random");
        publish_random(&dir, seed).map_err(|error| CheckError::new(error.to_string()))?;
        self.compare_directory(&dir)
    }
}

fn failed(error: ReadError) -> CheckError {
    CheckError::new(error.to_string())
}

fn digest(table: &StaticSortedFile) -> Result<TableDigest, ReadError> {
    let mut digest = EntryDigest::default();
    let mut count = 0;
    let mut cursor = table.cursor();
    while cursor.advance()? {
        digest.add(&cursor.entry()?);
        count += 1;
    }
    Ok((count, digest.finish()))
}

fn agree(mut ours: Vec<TableDigest>, theirs: Vec<TableDigest>) -> Result<(), CheckError> {
    ours.sort();
    if ours.is_empty() || ours != theirs {
        return fail(format!("ours: {ours:?}, the second decoder's: {theirs:?}"));
    }
    Ok(())
}

fn publish_random(dir: &Path, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut random = SplitMix::new(seed);
    let mut publisher = Publisher::open(dir, PublisherOptions::default())?;
    for _ in 0..2 {
        let mut commit = publisher.begin();
        for _ in 0..=random.word() % 3 {
            let options = WriterOptions::default().filter(QuotientFilter::default());
            let mut table = commit.create_table(options)?;
            for entry in random_entries(&mut random) {
                let blob = match &entry.value {
                    // The number in the entry is not that of a file yet.
                    TestValue::Blob(_) => Some(commit.create_blob(&random.half_random(3000))?),
                    _ => None,
                };
                let value = blob.map_or(entry.value, |number| TestValue::Blob(number.0));
                table.add(TestEntry { value, ..entry })?;
            }
            commit.add_table(table.finish()?)?;
        }
        commit.publish()?;
    }
    Ok(())
}

/// Sorted entries with distinct keys, of lengths and kinds that depend on the stream.
fn random_entries(random: &mut SplitMix) -> Vec<TestEntry> {
    let count = 1 + random.word() % 2000;
    let (key_len, key_spread) = (random.word() % 60, 1 + random.word() % 30);
    let kinds = 1 + random.word() % 5;
    let mut entries: Vec<TestEntry> = (0..count)
        .map(|i| {
            let mut key = i.to_be_bytes().to_vec();
            let len = key_len + random.word() % key_spread;
            key.extend(random.bytes(usize::try_from(len).unwrap_or(0)));
            TestEntry::new(key, random_value(random, kinds))
        })
        .collect();
    TestEntry::sort(&mut entries);
    entries
}

fn random_value(random: &mut SplitMix, kinds: u64) -> TestValue {
    let len = usize::try_from(random.word() % 4096).unwrap_or(0);
    match (random.word() % kinds, random.word() % 200) {
        (_, 0) => TestValue::Blob(0),
        (_, 1) => TestValue::Medium(random.half_random(5000 + len)),
        (0, _) => TestValue::Inline(random.bytes(len % 9)),
        (1, _) => TestValue::Small(random.half_random(9 + len % 200)),
        (2, _) => TestValue::Small(random.half_random(len)),
        (3, _) => TestValue::Deleted,
        _ => TestValue::Inline(random.bytes(4)),
    }
}
