//! One commit of some kind, on top of a directory that is there or not.

use std::collections::BTreeSet;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_reader::Catalog;
use sst_writer::{FileSystem, PublishError, Publisher, PublisherOptions};

use super::steps::{STEPS, Seen, Step};
use super::tap::{Tapped, WithoutSync};

/// What is put to the test: a commit, and what came before it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Commits before; with none of them, whether the directory is there.
    pub before: Vec<Step>,
    /// Whether there is a directory before the first commit.
    pub has_directory: bool,
    /// The commit.
    pub step: Step,
    /// Whether obsolete files stay.
    pub keep: bool,
}

/// Every kind of commit: the first, with and without a directory, and one on top of commits of all kinds.
#[must_use]
pub fn publishing() -> Vec<Scenario> {
    let scenario = |before: &[Step], step| Scenario {
        before: before.to_vec(),
        has_directory: true,
        step,
        keep: false,
    };
    let history = [Step::Increment, Step::Blobs, Step::Tombstones, Step::OtherFamily];
    let mut scenarios = vec![
        Scenario { has_directory: false, ..scenario(&[], Step::Blobs) },
        scenario(&[], Step::Increment),
        Scenario { keep: true, ..scenario(&history, Step::ReplaceAll) },
    ];
    scenarios.extend(STEPS.map(|step| scenario(&history, step)));
    scenarios
}

impl Scenario {
    /// A name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let keep = if self.keep { ", files kept" } else { "" };
        match (self.before.len(), self.has_directory) {
            (0, false) => format!("first commit and directory, {:?}", self.step),
            (0, true) => format!("first commit, {:?}", self.step),
            (before, _) => format!("{:?} on top of {before} commits{keep}", self.step),
        }
    }

    fn options(&self, file_system: impl FileSystem + 'static) -> PublisherOptions {
        PublisherOptions::default().keep_obsolete_files(self.keep).file_system(file_system)
    }

    /// Makes the commits before the one that is tested.
    pub fn prepare(&self, directory: &Path) {
        if self.has_directory {
            std::fs::create_dir(directory).unwrap();
        }
        if !self.before.is_empty() {
            let mut publisher = self.open(directory, Tapped::new(WithoutSync)).unwrap();
            for (number, step) in (1..).zip(&self.before) {
                step.apply(&mut publisher, number).unwrap();
            }
        }
    }

    /// Opens the directory.
    ///
    /// # Errors
    ///
    /// That of the publisher.
    pub fn open(
        &self,
        directory: &Path,
        file_system: impl FileSystem + 'static,
    ) -> Result<Publisher, PublishError> {
        Publisher::open(directory, self.options(file_system))
    }

    /// Makes the commit that is tested.
    ///
    /// # Errors
    ///
    /// That of the publisher.
    pub fn commit(&self, publisher: &mut Publisher) -> Result<(), PublishError> {
        self.step.apply(publisher, self.number())
    }

    /// Number of the commit that is tested.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.before.len() as u64 + 1
    }

    /// What a reader sees before the commit.
    #[must_use]
    pub fn seen_before(&self) -> Seen {
        Seen::after(&self.before)
    }

    /// What a reader sees after it.
    #[must_use]
    pub fn seen_after(&self) -> Seen {
        let mut steps = self.before.clone();
        steps.push(self.step);
        Seen::after(&steps)
    }

    /// The next writer: it opens the directory, which changes nothing that is seen and leaves no file behind that belongs
    /// to no commit, and makes a commit of its own, which is then seen.
    ///
    /// # Errors
    ///
    /// What it could not do, which is a broken promise.
    pub fn check_next_writer(&self, directory: &Path, seen: &Seen) -> Result<(), String> {
        let mut publisher = self
            .open(directory, Tapped::new(WithoutSync))
            .map_err(|error| format!("the next writer cannot open the directory: {error}"))?;
        if Seen::of(directory)? != *seen {
            return Err("opening it for writing changed what is seen".to_owned());
        }
        if !self.keep {
            check_no_leftovers(directory)?;
        }
        Step::ReplaceAll
            .apply(&mut publisher, 1)
            .map_err(|error| format!("the next writer cannot commit: {error}"))?;
        let Seen::Commit(found) = Seen::of(directory)? else {
            return Err("the next writer's commit is not seen".to_owned());
        };
        let Seen::Commit(expected) = Seen::after(&[Step::ReplaceAll]) else {
            return Err("there is no such commit".to_owned());
        };
        let is_right = expected.iter().all(|(key, value)| found.get(key) == Some(value));
        if is_right { Ok(()) } else { Err("the next writer's commit is another".to_owned()) }
    }
}

/// Names of the files of a directory that is there.
#[must_use]
pub fn names(directory: &Path) -> BTreeSet<String> {
    let entries = directory.read_dir().into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a name is that of a temporary file.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(".sst-")
}

/// Fails if a directory has files that belong neither to its commit nor to its writer.
///
/// # Errors
///
/// Their names.
pub fn check_no_leftovers(directory: &Path) -> Result<(), String> {
    let mut expected = BTreeSet::from(["LOCK".to_owned()]);
    if directory.join("CURRENT").exists() {
        let catalog = Catalog::read(directory).map_err(|error| error.to_string())?;
        expected.insert("CURRENT".to_owned());
        let name = |sequence, kind| FileName { sequence, kind }.to_string();
        let tables = catalog.tables.iter().map(|table| name(table.sequence, FileKind::Sst));
        let metas = catalog.meta_files.iter().map(|&meta| name(meta, FileKind::Meta));
        let blobs = catalog.blobs.keys().map(|blob| name(SequenceNumber(blob.0), FileKind::Blob));
        expected.extend(tables.chain(metas).chain(blobs));
    }
    let found = names(directory);
    let leftovers: Vec<_> = found.difference(&expected).collect();
    if leftovers.is_empty() { Ok(()) } else { Err(format!("left behind: {leftovers:?}")) }
}
