//! The subjects of damage and their examination. A subject is a table in memory or a directory,
//! with its right answers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_conformance::TestEntry;
use sst_format::SstMeta;
use sst_reader::{
    Access, Corruption, Diagnosis, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    verify_directory,
};
use tempfile::TempDir;

use super::database::{Database, Expected};
use super::meta_bytes::MetaLayout;
use super::outcome::Outcome;
use super::region::Region;
use super::table::{Written, blocks_of};
use super::{absent, files, reader_options, scratch};
use crate::Protection;
use crate::allocations::{read_limit, within};

/// One file of a subject, as written.
#[derive(Clone, Debug)]
pub struct SubjectFile {
    /// The file's name.
    pub name: String,
    /// The file's content.
    pub bytes: Vec<u8>,
    /// The ranges of a table's blocks, headers included; empty for other files.
    pub blocks: Vec<Range<usize>>,
    meta: Option<MetaLayout>,
}

impl SubjectFile {
    fn new(name: String, bytes: Vec<u8>) -> Self {
        let is = |extension: &str| Path::new(&name).extension().is_some_and(|e| e == extension);
        let blocks = if is("sst") { blocks_of(&bytes) } else { Vec::new() };
        let meta = is("meta").then(|| MetaLayout::of(&bytes));
        Self { name, bytes, blocks, meta }
    }

    /// The region of byte `at`.
    #[must_use]
    pub fn region(&self, at: usize) -> Region {
        match &self.meta {
            Some(layout) => Region::of_meta(layout, at),
            None => Region::of(&self.name, &self.blocks, at),
        }
    }
}

/// An intact table or directory with its right answers.
#[derive(Debug)]
pub struct Subject {
    /// The name, for messages.
    pub name: String,
    /// Whether the subject has the protection section.
    pub protection: Protection,
    /// The subject's files.
    pub files: Vec<SubjectFile>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Table { entries: Vec<TestEntry>, meta: Box<SstMeta> },
    Directory { expected: Expected },
}

impl Subject {
    /// A table in memory. It is opened with a description that has the protection section, or that
    /// is as the original writes it.
    #[must_use]
    pub fn of_table(name: &str, table: &Written, protection: Protection) -> Self {
        let mut meta = Box::new(table.meta.clone());
        if protection == Protection::Bare {
            meta.protection = None;
        }
        Self {
            name: name.to_owned(),
            protection,
            files: vec![SubjectFile::new("table.sst".to_owned(), table.bytes.clone())],
            kind: Kind::Table { entries: table.entries.clone(), meta },
        }
    }

    /// A directory as published, or changed to what the original would have written.
    #[must_use]
    pub fn of_directory(name: &str, database: &Database, protection: Protection) -> Self {
        let file = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut bytes = fs::read(path).unwrap();
            if protection == Protection::Bare {
                match name.as_str() {
                    "CURRENT" => bytes.truncate(4),
                    name if name.ends_with(".meta") => {
                        bytes.truncate(MetaLayout::of(&bytes).filters.end);
                    }
                    _ => {}
                }
            }
            SubjectFile::new(name, bytes)
        };
        Self {
            name: name.to_owned(),
            protection,
            files: files(database.dir()).into_iter().map(file).collect(),
            kind: Kind::Directory { expected: database.expected() },
        }
    }

    /// Number of bytes in all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }

    /// Whether the subject is read from a file system.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}

/// The outcome of an examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The first answer that is neither right nor an error.
    pub wrong: Option<String>,
    /// The first error that is not corruption.
    pub misfiled: Option<String>,
    /// Whether opening, a lookup or iteration returned an error.
    pub reads_failed: bool,
    /// Whether verification found damage.
    pub verified: bool,
    /// The diagnosis of the first checksum mismatch.
    pub diagnosis: Option<Diagnosis>,
}

fn diagnosis(error: &ReadError) -> Option<Diagnosis> {
    match error {
        ReadError::Corrupt {
            cause:
                Corruption::Checksum { diagnosis, .. }
                | Corruption::Area { diagnosis, .. }
                | Corruption::HeaderMismatch { diagnosis },
            ..
        } => Some(*diagnosis),
        _ => None,
    }
}

impl Finding {
    fn of(
        outcome: Outcome,
        damage: &[ReadError],
        is_expected: impl Fn(&ReadError) -> bool,
    ) -> Self {
        let mut errors = outcome.error.iter().chain(damage);
        let misfiled = errors.find(|error| !error.is_corruption() && !is_expected(error));
        Self {
            wrong: outcome.wrong,
            misfiled: misfiled.map(ToString::to_string),
            reads_failed: outcome.error.is_some(),
            verified: !damage.is_empty(),
            diagnosis: damage.iter().find_map(diagnosis),
        }
    }
}

/// The environment in which one thread examines subjects: its own options, and directories for the
/// subjects that need them.
pub struct Examiner {
    options: ReaderOptions,
    absent: Vec<(u64, Vec<u8>)>,
    root: Option<TempDir>,
    /// The directories of the subjects, by the address of the subject.
    dirs: HashMap<usize, PathBuf>,
}

impl Examiner {
    /// An examiner without directories.
    #[must_use]
    pub fn new() -> Self {
        Self { options: reader_options(), absent: absent(), root: None, dirs: HashMap::new() }
    }

    /// Runs every kind of read on a subject and verifies it, after replacing the content of one
    /// file. The file is removed if `content` is `None`.
    pub fn examine(
        &mut self,
        subject: &Subject,
        file: usize,
        content: Option<Vec<u8>>,
        access: Access,
    ) -> Finding {
        match &subject.kind {
            Kind::Table { entries, meta } => {
                self.examine_table(entries, meta, content.unwrap_or_default())
            }
            Kind::Directory { expected } => {
                let dir = self.dir(subject);
                let path = dir.join(&subject.files[file].name);
                match &content {
                    Some(content) => fs::write(&path, content).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
                let finding = self.examine_directory(&dir, expected, subject.size(), access);
                fs::write(&path, &subject.files[file].bytes).unwrap();
                finding
            }
        }
    }

    fn examine_table(&self, entries: &[TestEntry], meta: &SstMeta, bytes: Vec<u8>) -> Finding {
        let limit = read_limit(bytes.len() as u64);
        within(limit, || {
            match StaticSortedFile::from_bytes("table.sst", bytes, Some(meta), &self.options) {
                Ok(table) => {
                    let report = table.verify(&sst_reader::Monitor::default()).unwrap();
                    let outcome = Outcome::of_table(&table, entries, &self.absent);
                    Finding::of(outcome, &report.damage, |_| false)
                }
                Err(error) => Finding::of(Outcome::default(), &[error], |_| false).refused(),
            }
        })
    }

    fn examine_directory(
        &self,
        dir: &Path,
        expected: &Expected,
        size: u64,
        access: Access,
    ) -> Finding {
        let options = self.options.clone().access(access);
        // A damaged file may be a little longer than the intact one.
        within(read_limit(size + 4096), || {
            let outcome = match SstSet::open(dir, &options) {
                Ok(set) => expected.judge(&set),
                Err(error) => Outcome { error: Some(error), ..Outcome::default() },
            };
            let damage = match verify_directory(dir, &options, &sst_reader::Monitor::default()) {
                Ok(report) => report.damage,
                Err(error) => vec![error],
            };
            let no_current = |error: &ReadError| {
                let is_missing = matches!(error, ReadError::Io { source, .. }
                    if source.kind() == io::ErrorKind::NotFound);
                is_missing && error.file().path().ends_with("CURRENT")
            };
            Finding::of(outcome, &damage, no_current)
        })
    }

    /// The directory with the intact files of a subject, created at its first use.
    fn dir(&mut self, subject: &Subject) -> PathBuf {
        let root = self.root.get_or_insert_with(scratch);
        let key = std::ptr::from_ref(subject).addr();
        let made = self.dirs.entry(key).or_insert_with(|| {
            let dir = root.path().join(key.to_string());
            fs::create_dir(&dir).unwrap();
            for file in &subject.files {
                fs::write(dir.join(&file.name), &file.bytes).unwrap();
            }
            dir
        });
        made.clone()
    }
}

impl Default for Examiner {
    fn default() -> Self {
        Self::new()
    }
}

impl Finding {
    /// The finding for a table that cannot be opened: both reading and verification detect that.
    fn refused(mut self) -> Self {
        self.reads_failed = true;
        self
    }
}
