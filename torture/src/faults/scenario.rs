//! One commit of any kind (published, certified, gathered, bulk-loaded or rolled back), with or
//! without an existing directory and earlier commits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_reader::Catalog;
use sst_writer::bulk::BulkMode;
use sst_writer::file::FileSystem;
use sst_writer::publish::{LOCK_FILE_NAME, MetaLimits, list_commits};
use sst_writer::{Monitor, PublishError, Publisher, PublisherOptions};

use super::gathering::Gathering;
use super::load::Load;
use super::steps::{STEPS, Seen, Step};
use super::tap::{Tapped, WithoutSync};

/// The way in which a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes tables and adds them to the commit.
    Publish(Step),
    /// The same, and the commit is read back and certified.
    Certify(Step),
    /// Gathers directories of other writers into one commit.
    Gather(Gathering),
    /// Runs a bulk load.
    Load(Load),
    /// Rolls the directory back.
    Rollback {
        /// Number of commits to go back.
        commits: usize,
    },
}

/// The reason why a commit was not made.
pub type Failure = Box<dyn std::error::Error>;

/// A commit under test, and the commits before it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The commits before the tested one, the oldest first.
    pub before: Vec<Step>,
    /// Whether the directory exists before the first commit.
    pub has_directory: bool,
    /// The way in which the tested commit is made.
    pub action: Action,
    /// Whether obsolete files are kept.
    pub keep: bool,
    /// Whether the commit has several meta files, one for each of its tables.
    pub has_parts: bool,
}

const HISTORY: [Step; 4] = [Step::Append, Step::Blobs, Step::Tombstones, Step::OtherFamily];

/// Limits of a meta file that one table of a step meets and two tables exceed.
fn one_table() -> MetaLimits {
    MetaLimits::default().filter_bytes(100)
}

/// A scenario: a commit made after the steps `before`.
fn on_top_of(before: &[Step], action: Action) -> Scenario {
    Scenario { before: before.to_vec(), has_directory: true, action, keep: false, has_parts: false }
}

/// Published commits of every kind: the first commit, with and without a directory, and each step
/// after commits of all kinds.
#[must_use]
pub fn publishing() -> Vec<Scenario> {
    let scenario = |before, step| on_top_of(before, Action::Publish(step));
    let mut scenarios = vec![
        Scenario { has_directory: false, ..scenario(&[], Step::Blobs) },
        scenario(&[], Step::Append),
        Scenario { keep: true, ..scenario(&HISTORY, Step::ReplaceAll) },
        Scenario { has_parts: true, ..scenario(&HISTORY[..2], Step::TwoTables) },
    ];
    scenarios.extend(STEPS.map(|step| scenario(&HISTORY, step)));
    scenarios
}

/// Bulk loads: the first commit, one after other commits, and one that replaces them.
#[must_use]
pub fn loading() -> Vec<Scenario> {
    let (increment, replace) = (Load::small(BulkMode::Append), Load::small(BulkMode::Replace));
    let elsewhere = Load { spills_elsewhere: true, ..replace };
    vec![
        Scenario { has_directory: false, ..on_top_of(&[], Action::Load(replace)) },
        on_top_of(&HISTORY, Action::Load(increment)),
        on_top_of(&HISTORY, Action::Load(elsewhere)),
    ]
}

/// Rollbacks: to the previous commit, and over commits of all kinds.
#[must_use]
pub fn rolling_back() -> Vec<Scenario> {
    let [a, b, c, d] = HISTORY;
    vec![
        on_top_of(&[a, b, Step::ReplaceAll], Action::Rollback { commits: 1 }),
        Scenario {
            has_parts: true,
            ..on_top_of(&[a, Step::TwoTables, Step::ReplaceAll], Action::Rollback { commits: 1 })
        },
        on_top_of(&[a, b, c, d, Step::Obsolete, Step::Clear], Action::Rollback { commits: 4 }),
    ]
}

/// Commits gathered from fragments, with and without earlier commits, and certified commits.
#[must_use]
pub fn gathering() -> Vec<Scenario> {
    let gather = |replace, certify| Action::Gather(Gathering { replace, certify });
    vec![
        Scenario { has_directory: false, ..on_top_of(&[], gather(false, false)) },
        on_top_of(&HISTORY, gather(true, true)),
        on_top_of(&HISTORY[..2], Action::Certify(Step::Blobs)),
    ]
}

/// All scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [publishing(), loading(), rolling_back(), gathering()].concat()
}

impl Scenario {
    /// A name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let keep = match (self.keep, self.has_parts) {
            (true, _) => ", files kept",
            (_, true) => ", in several meta files",
            _ => "",
        };
        let action = match self.action {
            Action::Publish(step) => format!("{step:?}"),
            Action::Certify(step) => format!("{step:?}, certified"),
            Action::Gather(Gathering { certify: true, .. }) => "gather, certified".to_owned(),
            Action::Gather(_) => "gather".to_owned(),
            Action::Load(Load { mode, spills_elsewhere: false, .. }) => format!("load, {mode:?}"),
            Action::Load(Load { mode, .. }) => format!("load, {mode:?}, temporary files elsewhere"),
            Action::Rollback { commits } => format!("rollback by {commits}"),
        };
        match (self.before.len(), self.has_directory) {
            (0, false) => format!("first commit and directory, {action}"),
            (0, true) => format!("first commit, {action}"),
            (before, _) => format!("{action} on top of {before} commits{keep}"),
        }
    }

    fn options(&self, file_system: impl FileSystem + 'static) -> PublisherOptions {
        // The commit to roll back to must keep its files.
        let is_rollback = matches!(self.action, Action::Rollback { .. });
        let certify = match self.action {
            Action::Certify(_) => true,
            Action::Gather(gathering) => gathering.certify,
            _ => false,
        };
        PublisherOptions::default()
            .digest(certify)
            .keep_generations(if is_rollback { self.before.len() } else { 0 })
            .keep_obsolete_files(self.keep)
            .meta_limits(if self.has_parts { one_table() } else { MetaLimits::default() })
            .file_system(Arc::new(file_system))
    }

    /// Makes the commits before the tested one.
    pub fn prepare(&self, directory: &Path) {
        if self.has_directory {
            std::fs::create_dir(directory).unwrap();
        }
        if let Some(spilled) = self.spilled(directory) {
            std::fs::create_dir(spilled).unwrap();
        }
        if let Action::Gather(gathering) = self.action {
            gathering.prepare(directory, self.number());
        }
        if !self.before.is_empty() {
            let mut publisher = self.open(directory, Tapped::new(WithoutSync)).unwrap();
            for (number, step) in (1..).zip(&self.before) {
                step.apply(&mut publisher, number).unwrap();
            }
        }
    }

    /// The folder for temporary files beside a directory, if the scenario uses one.
    #[must_use]
    pub fn spilled(&self, directory: &Path) -> Option<PathBuf> {
        match self.action {
            Action::Load(Load { spills_elsewhere: true, .. }) => Some(Load::spilled(directory)),
            _ => None,
        }
    }

    /// Opens the directory.
    ///
    /// # Errors
    ///
    /// The error of the publisher.
    pub fn open(
        &self,
        directory: &Path,
        file_system: impl FileSystem + 'static,
    ) -> Result<Publisher, PublishError> {
        Publisher::open(directory, self.options(file_system))
    }

    /// Makes the tested commit.
    ///
    /// # Errors
    ///
    /// The error of the publisher or of the load.
    pub fn commit(&self, publisher: &mut Publisher) -> Result<(), Failure> {
        match self.action {
            Action::Publish(step) | Action::Certify(step) => {
                step.apply(publisher, self.number())?;
            }
            Action::Gather(gathering) => gathering.apply(publisher)?,
            Action::Load(load) => {
                load.apply(
                    publisher,
                    self.number(),
                    load.options(publisher.directory()),
                    &Monitor::default(),
                )?;
            }
            Action::Rollback { commits } => {
                let generations = list_commits(publisher.directory())?;
                let to = generations.get(commits).ok_or("there is no such generation")?;
                publisher.rollback(Some(to.sequence), &Monitor::default())?;
            }
        }
        Ok(())
    }

    /// Number of the tested commit, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.before.len() as u64 + 1
    }

    /// The content that a reader sees before the commit.
    #[must_use]
    pub fn seen_before(&self) -> Seen {
        Seen::after(&self.before)
    }

    /// The content that a reader sees after the commit.
    #[must_use]
    pub fn seen_after(&self) -> Seen {
        match self.action {
            Action::Publish(step) | Action::Certify(step) => {
                Seen::after(&[&self.before[..], &[step]].concat())
            }
            Action::Gather(gathering) => {
                Seen::after(&[&self.before[..], &gathering.steps()].concat())
            }
            Action::Load(load) => self.seen_before().with_load(load, self.number()),
            Action::Rollback { commits } => {
                Seen::after(&self.before[..self.before.len() - commits])
            }
        }
    }

    /// Acts as the next writer. It opens the directory, which must not change the content or leave
    /// files that belong to no commit. Then it makes a load, if the scenario is a load, and a
    /// commit. Each of them must be visible to readers.
    ///
    /// # Errors
    ///
    /// The step that failed: a broken promise.
    pub fn check_next_writer(&self, directory: &Path, seen: &Seen) -> Result<(), String> {
        // This writer keeps no earlier commits, so all files must belong to the newest commit.
        let options = self.options(Tapped::new(WithoutSync)).keep_generations(0);
        let mut publisher = Publisher::open(directory, options)
            .map_err(|error| format!("the next writer cannot open the directory: {error}"))?;
        if Seen::of(directory)? != *seen {
            return Err("opening it for writing changed the visible content".to_owned());
        }
        if !self.keep {
            // Earlier commits keep their files until then.
            let left = publisher.remove_obsolete_files().map_err(|error| error.to_string())?;
            if !left.is_empty() {
                return Err(format!("the next writer cannot remove files: {left:?}"));
            }
            check_no_leftovers(directory)?;
            if Seen::of(directory)? != *seen {
                return Err("removing obsolete files changed the visible content".to_owned());
            }
        }
        if let Action::Load(load) = self.action {
            let number = self.number() + 1;
            load.apply(&mut publisher, number, load.options(directory), &Monitor::default())
                .map_err(|error| format!("the next writer cannot load: {error}"))?;
            if Seen::of(directory)? != seen.clone().with_load(load, number) {
                return Err("the next writer's load is another".to_owned());
            }
            check_no_leftovers(directory)?;
            self.check_nothing_is_spilled(directory)?;
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

    /// Fails if the folder for temporary files is not empty.
    ///
    /// # Errors
    ///
    /// The names of the files in it.
    pub fn check_nothing_is_spilled(&self, directory: &Path) -> Result<(), String> {
        let left = self.spilled(directory).map(|spilled| names(&spilled)).unwrap_or_default();
        if left.is_empty() { Ok(()) } else { Err(format!("left where it spills: {left:?}")) }
    }
}

/// Names of the files of a directory; empty if it does not exist.
#[must_use]
pub fn names(directory: &Path) -> BTreeSet<String> {
    let entries = directory.read_dir().into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a name is the name of a temporary file.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(".sst-")
}

/// Fails if a directory has files that belong neither to its commit nor to its writer.
///
/// # Errors
///
/// The names of these files.
pub fn check_no_leftovers(directory: &Path) -> Result<(), String> {
    let mut expected = BTreeSet::from([LOCK_FILE_NAME.to_owned()]);
    if directory.join("CURRENT").exists() {
        let catalog = Catalog::read(directory).map_err(|error| error.to_string())?;
        expected.insert("CURRENT".to_owned());
        let name = |sequence, kind| FileName { sequence, kind }.to_string();
        let tables = catalog.tables.iter().map(|table| name(table.sequence, FileKind::Sst));
        let metas = catalog.meta_files.iter().map(|&meta| name(meta, FileKind::Meta));
        let blobs = catalog
            .blobs()
            .map_err(|error| error.to_string())?
            .keys()
            .map(|blob| name(SequenceNumber(blob.0), FileKind::Blob));
        expected.extend(tables.chain(metas).chain(blobs));
        // A rollback leaves a `.del` file for the original's readers.
        expected.insert(name(catalog.commit, FileKind::Del));
    }
    let found = names(directory);
    let leftovers: Vec<_> = found.difference(&expected).collect();
    if leftovers.is_empty() { Ok(()) } else { Err(format!("left behind: {leftovers:?}")) }
}
