//! I/O faults: every operation of creating a file, publishing a commit, gathering and certifying
//! it, bulk-loading or rolling back is made to fail, one after the other, in every possible way.
//! After that, files must be complete or absent, readers must see the commit before or after, and
//! the directory must have the same files as before; the next writer removes files whose removal
//! failed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sst_format::limits::MAX_SMALL_VALUE_LEN;
use sst_merge::MergeError;
use sst_writer::blob::write_blob_file_in;
use sst_writer::file::{AtomicFile, FileSystem};
use sst_writer::publish::FIRST_COMMIT_FILE_NAME;
use sst_writer::table::{Compression, hash_key};
use sst_writer::{PublishError, StreamingSstWriter, WriteError, WriterOptions};

use crate::faults::injector::{FAULTS, Listed, Listing, exists};
use crate::faults::scenario::{self, Action, Failure};
use crate::faults::scenario::{is_temporary, names};
use crate::faults::{Fault, Injector, Scenario, Seen, Step, Tapped};
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "i/o faults",
    about: "every operation of creating a file, publishing, gathering, certifying, loading and rolling back fails, in every way it can",
    run,
};

/// The work in which an operation fails.
enum Work {
    Table,
    Blob(Compression),
    Commit(Scenario),
}

/// Kinds of work. Each has its own rows.
const KINDS: [&str; 5] = ["file", "publish", "load", "rollback", "gather or certify"];

/// A quick run tries one of this many faults of each kind of work. Bulk loads have many slow
/// operations, and gathered commits have many operations.
const SAMPLES: [usize; 5] = [1, 1, 16, 1, 4];

/// A fault: in which work, at which operation, and its kind.
struct Case {
    work: usize,
    operation: u64,
    name: &'static str,
    fault: Fault,
}

struct FaultCases {
    works: Vec<Work>,
    cases: Vec<Case>,
    /// The bytes of a finished table or blob if nothing fails, for each work.
    complete: Vec<Vec<u8>>,
}

impl Work {
    fn name(&self) -> String {
        match self {
            Self::Table => "table".to_owned(),
            Self::Blob(compression) => format!("blob, {compression:?}"),
            Self::Commit(scenario) => scenario.name(),
        }
    }

    /// Does the work in `directory`.
    fn run(
        &self,
        directory: &Path,
        file_system: impl FileSystem + Clone + 'static,
    ) -> Result<(), Failure> {
        match self {
            Self::Table => write_table(Arc::new(file_system), &directory.join("file"))?,
            Self::Blob(compression) => {
                let value = b"a value of a blob ".repeat(20_000);
                let path = directory.join("file");
                write_blob_file_in(Arc::new(file_system), path, &value, *compression)?;
            }
            Self::Commit(scenario) => {
                scenario.commit(&mut scenario.open(&directory.join("db"), file_system)?)?;
            }
        }
        Ok(())
    }

    /// The kind of the work, as an index into [`KINDS`].
    const fn kind(&self) -> usize {
        match self {
            Self::Table | Self::Blob(_) => 0,
            Self::Commit(Scenario { action: Action::Publish(_), .. }) => 1,
            Self::Commit(Scenario { action: Action::Load(_), .. }) => 2,
            Self::Commit(Scenario { action: Action::Rollback { .. }, .. }) => 3,
            Self::Commit(Scenario { action: Action::Gather(_) | Action::Certify(_), .. }) => 4,
        }
    }

    fn operations(&self) -> (Vec<Listed>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        if let Self::Commit(scenario) = self {
            scenario.prepare(&directory.path().join("db"));
        }
        let file_system = Tapped::new(Listing::default());
        self.run(directory.path(), file_system.clone()).unwrap();
        let complete = std::fs::read(directory.path().join("file")).unwrap_or_default();
        (file_system.tap().operations(), complete)
    }
}

/// Writes a table in several writes.
fn write_table(file_system: Arc<dyn FileSystem>, path: &Path) -> Result<(), WriteError> {
    let file = AtomicFile::create_in(file_system, path)?;
    let options = WriterOptions::default().compression(Compression::None);
    let mut writer = StreamingSstWriter::in_file(file, options);
    let mut keys: Vec<[u8; 4]> = (0..200_u32).map(u32::to_be_bytes).collect();
    keys.sort_by_key(|key| hash_key(key));
    let value = [7; MAX_SMALL_VALUE_LEN];
    for key in keys {
        writer.add((key, &value[..]))?;
    }
    writer.finish().map(drop)
}

fn run(context: &Context) -> Vec<Row> {
    let mut works = vec![Work::Table, Work::Blob(Compression::None), Work::Blob(Compression::Lz4)];
    works.extend(scenario::all().into_iter().map(Work::Commit));
    let row = |(kind, sample): (&str, usize)| {
        let note = |row: Row| match sample > 1 && !context.is_full() {
            true => row.note(format!("one fault in {sample} is tried")),
            false => row,
        };
        FAULTS.map(|fault| note(row(kind, fault)))
    };
    let rows = KINDS.into_iter().zip(SAMPLES).flat_map(row).collect();
    let mut listed_faults = 0_usize;
    let mut all = FaultCases { works, cases: Vec::new(), complete: Vec::new() };
    for (work, doing) in all.works.iter().enumerate() {
        let (operations, complete) = doing.operations();
        all.complete.push(complete);
        for (operation, listed) in (0..).zip(&operations) {
            for (fault, _) in FAULTS.iter().zip(listed.faults).filter(|(_, applies)| *applies) {
                listed_faults += 1;
                let sample = SAMPLES[doing.kind()];
                if !context.is_full() && !listed_faults.is_multiple_of(sample) {
                    continue;
                }
                let (name, fault) = (listed.name, *fault);
                all.cases.push(Case { work, operation, name, fault });
            }
        }
        // One more fault that must never happen, which shows that no operation was left out.
        let operation = operations.len() as u64;
        all.cases.push(Case { work, operation, name: "none", fault: Fault::ForGood });
    }
    context.run(rows, &all)
}

fn row(what: &str, fault: Fault) -> Row {
    let fault = match fault {
        Fault::Once => "one error",
        Fault::ForGood => "errors for good",
        Fault::NoSpace => "disk full",
        Fault::Afterwards => "done, but reports an error",
        Fault::Short => "short write",
        Fault::Interrupted => "interrupted write",
        Fault::Zero => "write of 0 bytes",
    };
    Row::new(format!("{what}: {fault}"), Protection::Protected)
}

impl Cases for FaultCases {
    type Worker = ();

    fn count(&self) -> usize {
        self.cases.len()
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        let Case { work, fault, .. } = self.cases[case];
        let fault = FAULTS.iter().position(|known| *known == fault).unwrap();
        fault + FAULTS.len() * self.works[work].kind()
    }

    fn name(&self, case: usize) -> String {
        let Case { work, operation, name, fault } = self.cases[case];
        format!("{}, operation {operation} ({name}), {fault:?}", self.works[work].name())
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        let case = &self.cases[case];
        let directory = tempfile::tempdir().unwrap();
        let file_system = Tapped::new(Injector::new(case.fault, case.operation));
        let result = match &self.works[case.work] {
            Work::Commit(scenario) => {
                check_commit(scenario, &directory.path().join("db"), &file_system)
            }
            work => {
                let complete = &self.complete[case.work];
                check_file(work, directory.path(), &file_system, complete)
            }
        };
        let injector = file_system.tap();
        if injector.has_fired() == (case.name == "none") {
            return Verdict::Wrong(format!("{} operations, not as listed", injector.operations()));
        }
        match result {
            Ok(Reported::Yes) => Verdict::Detected,
            Ok(Reported::No) => Verdict::Harmless,
            Err(what) => Verdict::Wrong(what),
        }
    }
}

/// Whether the caller got an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Yes,
    No,
}

impl Reported {
    fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_err() { Self::Yes } else { Self::No }
    }
}

/// Checks the promises that hold for every kind of work.
fn check_reported(
    reported: Reported,
    injector: &Injector,
    fault_is_benign: bool,
) -> Result<(), String> {
    if reported == Reported::Yes && fault_is_benign {
        return Err("an error where there is no fault".to_owned());
    }
    if reported == Reported::No && injector.sync_failed() {
        return Err("a failed sync was taken as done".to_owned());
    }
    if injector.broke_promise() {
        return Err("CURRENT was replaced after a sync had failed".to_owned());
    }
    Ok(())
}

fn check_file(
    work: &Work,
    directory: &Path,
    file_system: &Tapped<Injector>,
    complete: &[u8],
) -> Result<Reported, String> {
    let injector = file_system.tap();
    let result = work.run(directory, file_system.clone());
    let reported = Reported::of(&result);
    check_reported(reported, injector, injector.is_benign())?;
    let path = directory.join("file");
    if exists(&path) && std::fs::read(&path).unwrap() != complete {
        return Err("the file exists but is incomplete".to_owned());
    }
    if exists(&path) != (reported == Reported::No) && !injector.may_leave_name() {
        return Err(format!(
            "{result:?}, and the file is {}there",
            if exists(&path) { "" } else { "not " }
        ));
    }
    check_no_temporaries(directory, injector)?;
    Ok(reported)
}

fn check_no_temporaries(directory: &Path, injector: &Injector) -> Result<(), String> {
    match names(directory).into_iter().find(|name| is_temporary(name)) {
        Some(name) if !injector.removal_failed() => Err(format!("{name} was left behind")),
        _ => Ok(()),
    }
}

fn check_commit(
    scenario: &Scenario,
    directory: &Path,
    file_system: &Tapped<Injector>,
) -> Result<Reported, String> {
    scenario.prepare(directory);
    let files = files_and_lock(directory);
    let injector = file_system.tap();
    let (old, new) = (scenario.seen_before(), scenario.seen_after());
    let opened = scenario.open(directory, file_system.clone());
    let mut reported = Reported::of(&opened);
    if let Ok(mut publisher) = opened {
        let result = scenario.commit(&mut publisher);
        injector.end();
        reported = Reported::of(&result);
        let seen = Seen::of(directory)?;
        match result {
            Ok(()) if seen == new => {}
            Ok(()) => return Err("a commit that is said to be there is not seen".to_owned()),
            Err(_) if seen == old || (injector.is_switched() && seen == new) => {}
            Err(error) => {
                return Err(format!("neither the old nor the new is seen after: {error}"));
            }
        }
        check_reported(reported, injector, injector.is_benign())?;
        if reported == Reported::Yes && !injector.is_switch_tried() && !injector.removal_failed() {
            check_as_before(scenario, directory, injector, &files)?;
        }
        check_continues(scenario, publisher, injector, reported)?;
    } else {
        check_reported(reported, injector, injector.is_benign())?;
        if Seen::of(directory)? != old {
            return Err("opening for writing changed the visible content".to_owned());
        }
    }
    check_no_temporaries(directory, injector)?;
    let seen = Seen::of(directory)?;
    scenario.check_next_writer(directory, &seen)?;
    Ok(reported)
}

/// The names in a directory, and the name of the lock file, which every publisher creates.
fn files_and_lock(directory: &Path) -> BTreeSet<String> {
    let mut files = names(directory);
    files.insert(sst_writer::publish::LOCK_FILE_NAME.to_owned());
    files
}

/// Checks that after a failure the directory has the files of before and no temporary files. The
/// marker of a first commit stays if a sync failed, since removed files may come back after a
/// crash.
fn check_as_before(
    scenario: &Scenario,
    directory: &Path,
    injector: &Injector,
    files: &BTreeSet<String>,
) -> Result<(), String> {
    let mut found = files_and_lock(directory);
    if injector.sync_failed() && !files.contains(FIRST_COMMIT_FILE_NAME) {
        found.remove(FIRST_COMMIT_FILE_NAME);
    }
    if found != *files {
        return Err(format!("not as before: {:?}", found.symmetric_difference(files)));
    }
    scenario.check_nothing_is_spilled(directory)
}

/// Continues with the same publisher. It must refuse further commits if a sync has failed;
/// otherwise its next commit must be right.
fn check_continues(
    scenario: &Scenario,
    mut publisher: sst_writer::Publisher,
    injector: &Injector,
    reported: Reported,
) -> Result<(), String> {
    let before = Seen::of(publisher.directory())?;
    let next = Step::ReplaceAll.apply(&mut publisher, scenario.number() + 1);
    let seen = Seen::of(publisher.directory())?;
    match next {
        Err(MergeError::Publish(PublishError::Poisoned { .. }))
            if reported == Reported::Yes && seen == before =>
        {
            Ok(())
        }
        Err(_) if injector.is_for_good() && seen == before => Ok(()),
        Err(error) => Err(format!("the publisher does not continue: {error}")),
        Ok(()) if injector.sync_failed() => {
            Err("the publisher continues after a failed sync".to_owned())
        }
        Ok(()) if seen == before => Err("the next commit is not seen".to_owned()),
        Ok(()) => Ok(()),
    }
}
