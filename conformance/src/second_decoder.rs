//! Compares our reader with the second decoder: plain Python that shares no code with ours
//! (conformance/decoder/).

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::digest::EntryDigest;
use crate::random_files::{AnyError, publish_random, scratch, write_random_table};
use crate::{CheckError, Row, chains, directories, fail, vectors, version_3};
use sst_amqf::QuotientFilter;
use sst_reader::{Catalog, ReadError, ReaderOptions, StaticSortedFile};

/// Checks that both decoders compute the same digests for every vector, every real directory, and
/// tables and directories of random shape.
#[must_use]
pub fn check(root: &Path) -> Row {
    let mut row = Row::new("second decoder agrees");
    let Some(decoder) = Decoder::find(root) else {
        row.skipped = Some(NO_PYTHON.to_owned());
        return row;
    };
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
    for version in ["1", "2", "3"] {
        let dir = vectors_dir.join("versions").join(version);
        row.count(&format!("version {version}"), decoder.compare_directory(&dir));
    }
    row.count_all("random tables", decoder.compare_many(RANDOM_TABLES, write_random_table));
    row.count_all("random directories", decoder.compare_many(RANDOM_DIRECTORIES, publish_random));
    let in_version_3 = |dir: &Path, seed| {
        publish_random(dir, seed)?;
        version_3::rewrite(dir)
    };
    let count = RANDOM_DIRECTORIES / 2;
    row.count_all("random directories, version 3", decoder.compare_many(count, in_version_3));
    for (_, write) in CHAINS {
        row.count_all("chains of meta files", decoder.compare_many(RANDOM_CHAINS, write));
    }
    row
}

/// Checks that the second decoder finds the live descriptions of the chains with these seeds, with
/// and without protection. One process reads many directories.
#[must_use]
pub fn check_chains(root: &Path, seeds: Range<u64>) -> Row {
    let mut row = Row::new("live descriptions: second decoder");
    let Some(decoder) = Decoder::find(root) else {
        row.skipped = Some(NO_PYTHON.to_owned());
        return row;
    };
    for (name, write) in CHAINS {
        for first in seeds.clone().step_by(CHAIN_BATCH) {
            let batch = first..seeds.end.min(first + CHAIN_BATCH as u64);
            match decoder.compare_chains(batch.clone(), write) {
                Ok(results) => row.count_all(name, results),
                Err(error) => row.count(&format!("{name}, seeds {batch:?}"), Err(error)),
            }
        }
    }
    row
}

/// The exit code of the second decoder for a file or directory: 0, 2 for damage, or 3. `None` if it
/// cannot be run.
#[must_use]
pub fn exit_code(root: &Path, path: &Path) -> Option<i32> {
    let decoder = Decoder::find(root)?;
    decoder.command().arg(path).output().ok()?.status.code()
}

/// The kinds of directories of chains.
const CHAINS: [(&str, Write); 2] = [
    ("without protection", |dir, seed| chains::write(dir, seed, false)),
    ("protected", |dir, seed| chains::write(dir, seed, true)),
];

const NO_PYTHON: &str = "there is no Python 3.10 or later on this machine";

/// Writes a file or a directory from a seed.
type Write = fn(&Path, u64) -> Result<(), AnyError>;

const RANDOM_CHAINS: u64 = 500;
const RANDOM_TABLES: u64 = 3000;
const RANDOM_DIRECTORIES: u64 = 250;

/// Number of files for one run of the second decoder, since starting it takes longer than reading a
/// small file.
const BATCH: usize = 125;

/// As [`BATCH`], for chains, whose directories are smaller.
const CHAIN_BATCH: usize = 1000;

/// The name of a Python interpreter that can run the decoder; `None` if there is none.
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

/// The name of a case and its result.
type Named = (String, Result<(), CheckError>);

/// Number of entries and digest of one table.
type TableDigest = (u64, String);

fn told(error: AnyError) -> CheckError {
    CheckError::new(error.to_string())
}

impl Decoder {
    /// The decoder in the workspace at `root`; `None` without a Python that can run it.
    fn find(root: &Path) -> Option<Self> {
        Some(Self { python: python()?, script: root.join("conformance/decoder/decode.py") })
    }

    /// The digests that the second decoder computes for the tables of a file or a directory,
    /// sorted.
    fn digests(&self, path: &Path) -> Result<Vec<TableDigest>, CheckError> {
        let (text, complaints) = self.run(&[path.to_owned()])?;
        match complaints.trim() {
            "" => parse(&text),
            complaint => fail(format!("the second decoder refuses: {complaint}")),
        }
    }

    /// The second decoder, without paths yet.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(&self.script).arg("--digest");
        command
    }

    /// Runs the second decoder on some paths. Returns its standard output and its standard error.
    fn run(&self, paths: &[PathBuf]) -> Result<(String, String), CheckError> {
        let output = self
            .command()
            .args(paths)
            .output()
            .map_err(|error| CheckError::new(format!("cannot run Python: {error}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complaints) = (text(&output.stdout), text(&output.stderr));
        if !output.status.success() && complaints.trim().is_empty() {
            return fail(format!("the second decoder ends with {}", output.status));
        }
        Ok((said, complaints))
    }

    /// Writes a file for each seed, and compares the digests of both decoders.
    fn compare_many(&self, count: u64, write: Write) -> Vec<Named> {
        let mut results = Vec::new();
        for first in (0..count).step_by(BATCH) {
            let seeds = first..count.min(first + BATCH as u64);
            match self.compare_batch(seeds.clone(), write) {
                Ok(batch) => results.extend(batch),
                Err(error) => results.push((format!("seeds {seeds:?}"), Err(error))),
            }
        }
        results
    }

    fn compare_batch(&self, seeds: Range<u64>, write: Write) -> Result<Vec<Named>, CheckError> {
        self.decode_batch(seeds, write, |_, path, theirs| {
            let ours = if path.is_dir() { of_directory(path) } else { of_table(path) };
            agree(ours?, parse(theirs?)?)
        })
    }

    /// Compares the marks of the live descriptions of the chains with these seeds, and their order.
    fn compare_chains(&self, seeds: Range<u64>, write: Write) -> Result<Vec<Named>, CheckError> {
        self.decode_batch(seeds, write, |seed, _, theirs| {
            let lines = theirs?.lines();
            let found: Option<Vec<u32>> =
                lines.map(|line| line.split('\t').nth(3)?.parse().ok()).collect();
            let expected = chains::expected_marks(seed).map_err(told)?;
            if found.as_ref() != Some(&expected) {
                return fail(format!("the second decoder finds {found:x?}, not {expected:x?}"));
            }
            Ok(())
        })
    }

    /// Writes a file for each seed, lets one run of the second decoder read them all, and judges
    /// what it says of each.
    fn decode_batch(
        &self,
        seeds: Range<u64>,
        write: Write,
        judge: impl Fn(u64, &Path, Result<&str, CheckError>) -> Result<(), CheckError>,
    ) -> Result<Vec<Named>, CheckError> {
        let parent = scratch().map_err(|error| told(error.into()))?;
        let paths: Vec<PathBuf> =
            seeds.clone().map(|seed| parent.path().join(format!("{seed}.sst"))).collect();
        for (seed, path) in seeds.clone().zip(&paths) {
            write(path, seed).map_err(told)?;
        }
        let (text, complaints) = self.run(&paths)?;
        let mut parts = text.split("## ").skip(1);
        let judged = seeds.zip(&paths).map(|(seed, path)| {
            let part = parts.next().and_then(|part| part.split_once('\n'));
            let theirs = match part {
                Some((_, text)) if !text.trim().is_empty() => Ok(text),
                _ => fail(format!("the second decoder refuses: {}", complaints.trim())),
            };
            (format!("seed {seed}"), judge(seed, path, theirs))
        });
        Ok(judged.collect())
    }

    fn compare_table(&self, path: &Path) -> Result<(), CheckError> {
        agree(of_table(path)?, self.digests(path)?)
    }

    fn compare_directory(&self, dir: &Path) -> Result<(), CheckError> {
        agree(of_directory(dir)?, self.digests(dir)?)
    }
}

/// Parses the digests in the output of the second decoder.
fn parse(text: &str) -> Result<Vec<TableDigest>, CheckError> {
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

/// The digest that our reader computes for a table without a description.
fn of_table(path: &Path) -> Result<Vec<TableDigest>, CheckError> {
    let table =
        StaticSortedFile::open_standalone(path, &ReaderOptions::default()).map_err(failed)?;
    Ok(vec![digest(&table).map_err(failed)?])
}

/// The digests that our reader computes for the tables of a directory.
fn of_directory(dir: &Path) -> Result<Vec<TableDigest>, CheckError> {
    let catalog = Catalog::read(dir).map_err(failed)?;
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    catalog
        .tables
        .iter()
        .map(|table| digest(&catalog.open_table(table, &options)?))
        .collect::<Result<_, ReadError>>()
        .map_err(failed)
}

fn failed(error: ReadError) -> CheckError {
    CheckError::new(error.to_string())
}

fn digest(table: &StaticSortedFile) -> Result<TableDigest, ReadError> {
    let mut digest = EntryDigest::default();
    let mut count = 0;
    let mut cursor = table.cursor();
    while let Some(entry) = cursor.next()? {
        digest.add(entry)?;
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
