//! The parties that must agree about live descriptions, on the directory of one chain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_merge::{
    FragmentOverlap, Gatherer, Inputs, MergeOptions, Monitor, OlderTables, compact, merge_into_file,
};
use sst_reader::{Catalog, ReadValue, ReaderOptions, SstSet, StaticSortedFile, hash_key};
use sst_writer::{Publisher, PublisherOptions, WriterOptions};
use tempfile::TempDir;

use super::chain::{Chain, Content, FAMILIES, Live, content};
use super::directory::{mark, write};
use crate::random_files::{AnyError, scratch};
use crate::{CheckError, fail};

/// A party that decides what is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The catalog, and walks of sets.
    Reader,
    /// The publisher: what it finds, and what an append leaves.
    Writer,
    /// The files that the publisher keeps and removes, by the number of generations to keep.
    Retention,
    /// The publisher going back to commits of the chain.
    Rollback,
    /// Merges: into a file, and in place.
    Merge,
    /// Gathering the directory into another one.
    Gather,
}

/// How one check ended: an error where it could not be made.
type Judged = Result<Result<(), CheckError>, AnyError>;

impl Party {
    /// All parties.
    pub const ALL: [Self; 6] =
        [Self::Reader, Self::Writer, Self::Retention, Self::Rollback, Self::Merge, Self::Gather];

    /// The name for the table of results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer, append",
            Self::Retention => "writer, files kept and removed",
            Self::Rollback => "writer, rollback",
            Self::Merge => "merge",
            Self::Gather => "gather",
        }
    }
}

/// Judges chains one after the other, in a folder of its own.
pub(super) struct Worker {
    folder: TempDir,
}

impl Worker {
    pub(super) fn new() -> Result<Self, AnyError> {
        Ok(Self { folder: scratch()? })
    }

    /// Judges the chain with this seed, and tells how each party did. Only the reader and merges
    /// read a directory without protection.
    pub(super) fn judge(&self, seed: u64, is_protected: bool, mut tell: impl FnMut(Party, Judged)) {
        let subject = match Subject::new(self.folder.path(), seed, is_protected) {
            Ok(subject) => subject,
            Err(error) => return tell(Party::Reader, Err(error)),
        };
        tell(Party::Reader, subject.reader());
        tell(Party::Merge, subject.merge_into_file());
        if is_protected {
            tell(Party::Gather, subject.gather());
            subject.write(&mut tell);
        }
        if let Err(error) = fs::remove_dir_all(&subject.dir) {
            tell(Party::Reader, Err(error.into()));
        }
    }
}

/// The directory of one chain.
struct Subject {
    dir: PathBuf,
    /// Beside the directory, for what is made of it.
    beside: PathBuf,
    chain: Chain,
    live: Vec<Live>,
    seed: u64,
}

impl Subject {
    fn new(folder: &Path, seed: u64, is_protected: bool) -> Result<Self, AnyError> {
        let dir = folder.join("chain");
        write(&dir, seed, is_protected)?;
        let chain = Chain::random(seed);
        let live = chain.live();
        Ok(Self { dir, beside: folder.join("beside"), chain, live, seed })
    }

    fn reader(&self) -> Judged {
        if let Err(error) = compare("the reader", &self.read_marks()?, &marks(&self.live)?) {
            return Ok(Err(error));
        }
        self.contents("the reader", &self.live)
    }

    fn read_marks(&self) -> Result<Vec<u32>, AnyError> {
        let catalog = Catalog::read(&self.dir)?;
        Ok(catalog.tables.iter().rev().map(|table| table.record.flags.0).collect())
    }

    /// Compares what sets of both families show with what they must.
    fn contents(&self, who: &str, live: &[Live]) -> Judged {
        let options = ReaderOptions::default();
        for family in FAMILIES {
            let expected = content(live, family);
            let set = SstSet::open_family(&self.dir, family, &options)?;
            if let Err(error) = compare(who, &entries_of(&set)?, &expected) {
                return Ok(Err(error));
            }
            // A reader of a range of hashes reads only the meta files that the range needs.
            for hashes in [0..=u64::MAX, 0..=u64::MAX / 2, u64::MAX / 2 + 1..=u64::MAX] {
                let set = SstSet::open_range(&self.dir, family, hashes.clone(), &options)?;
                let mut expected = expected.clone();
                expected.retain(|key, _| hashes.contains(&hash_key(key)));
                let who = format!("{who} of hashes {hashes:x?}");
                if let Err(error) = compare(&who, &entries_of(&set)?, &expected) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    fn merge_into_file(&self) -> Judged {
        for family in FAMILIES {
            let expected = content(&self.live, family);
            let mut inputs = Inputs::new(&ReaderOptions::default());
            inputs.add_directory(&self.dir, family)?;
            let options = MergeOptions::default().older(OlderTables::none());
            let monitor = Monitor::default();
            let (_, meta) = merge_into_file(&inputs, &self.beside, &options, &monitor)?;
            let mut found = Content::new();
            if let Some(meta) = meta {
                let table = StaticSortedFile::open(&self.beside, &meta, &ReaderOptions::default())?;
                let mut cursor = table.cursor();
                while let Some(entry) = cursor.next()? {
                    let key = entry.key.to_vec();
                    if let ReadValue::Value(value) = entry.into_value()? {
                        found.insert(key, value.to_vec());
                    }
                }
                fs::remove_file(&self.beside)?;
            }
            if let Err(error) = compare("a merge into a file", &found, &expected) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn gather(&self) -> Judged {
        let mut judged = Ok(());
        for family in FAMILIES {
            let of_family = self.live.iter().filter(|live| live.family == family).copied();
            let expected = marks(&of_family.collect::<Vec<_>>())?;
            if expected.is_empty() {
                continue;
            }
            let mut publisher = Publisher::open(&self.beside, PublisherOptions::default())?;
            let mut commit = publisher.begin_family(family);
            Gatherer::new(&mut commit, FragmentOverlap::LaterWins)
                .add(&self.dir, &Monitor::default())?;
            let found: Vec<u32> = commit.tables().iter().map(|(_, meta)| meta.flags.0).collect();
            judged = judged.and(compare("the gatherer", &found, &expected));
            drop(commit);
            drop(publisher);
            fs::remove_dir_all(&self.beside)?;
        }
        Ok(judged)
    }

    /// Everything that changes the directory.
    fn write(&self, tell: &mut impl FnMut(Party, Judged)) {
        // A generation more than the chain has is kept, too.
        let keep = usize::try_from(self.seed % 8).unwrap_or(0);
        let options = PublisherOptions::default().keep_generations(keep);
        let mut publisher = match Publisher::open(&self.dir, options) {
            Ok(publisher) => publisher,
            Err(error) => return tell(Party::Writer, Err(error.into())),
        };
        let judged = match publisher.remove_obsolete_files() {
            Ok(left) if left.is_empty() => self.files("tidied", &BTreeSet::new(), keep + 1),
            Ok(left) => Err(format!("not removed: {left:?}").into()),
            Err(error) => Err(error.into()),
        };
        tell(Party::Retention, judged);
        let appended = self.append(&mut publisher);
        let (judged, new) = match appended {
            Ok((judged, new)) => (Ok(judged), new),
            Err(error) => return tell(Party::Writer, Err(error)),
        };
        tell(Party::Writer, judged);
        tell(Party::Retention, self.files("after an append", &BTreeSet::from([new]), keep));
        let mut live = self.live.clone();
        if keep > 0 {
            tell(Party::Rollback, self.roll_back(&mut publisher, None, &live));
        }
        let before = self.chain.metas.len().saturating_sub(1);
        // The append and the first rollback have taken two places of those that are kept.
        if let (true, Some(meta)) = (keep > 3, before.checked_sub(1)) {
            live = self.chain.live_of(before);
            let to = self.chain.metas.get(meta).map(|meta| meta.sequence);
            tell(Party::Rollback, self.roll_back(&mut publisher, to, &live));
        }
        if keep > 0 {
            tell(Party::Merge, self.merge_in_place(&mut publisher, &live));
        }
    }

    /// Appends a table, and compares what is live before and after. Returns its number too.
    fn append(
        &self,
        publisher: &mut Publisher,
    ) -> Result<(Result<(), CheckError>, SequenceNumber), AnyError> {
        let expected = marks(&self.live)?;
        let mut judged = compare("the writer", &live_marks(publisher), &expected);
        let mut commit = publisher.begin_family(FAMILIES[0]);
        let mut table = commit.create_table(WriterOptions::default())?;
        table.add(("appended", "value"))?;
        let table = table.finish()?;
        let (new, flags) = (table.sequence(), table.meta().flags.0);
        commit.add_table(table)?;
        commit.publish(&Monitor::default())?;
        let expected: Vec<u32> = expected.into_iter().chain([flags]).collect();
        for (who, found) in [
            ("the writer after an append", live_marks(publisher)),
            ("the reader after an append", self.read_marks()?),
        ] {
            judged = judged.and(compare(who, &found, &expected));
        }
        Ok((judged, new))
    }

    /// Compares the tables that are there with those of the newest `commits` commits of the chain,
    /// and others.
    fn files(&self, when: &str, others: &BTreeSet<SequenceNumber>, commits: usize) -> Judged {
        let all = self.chain.metas.len();
        let kept = (1..=all).rev().take(commits.max(1 - others.len().min(1)));
        let mut expected: BTreeSet<SequenceNumber> =
            kept.flat_map(|count| self.chain.live_of(count)).map(|live| live.table).collect();
        if !others.is_empty() {
            // The newest commit holds what the chain does.
            expected.extend(self.live.iter().map(|live| live.table).chain(others.iter().copied()));
        }
        let mut found = BTreeSet::new();
        for file in fs::read_dir(&self.dir)? {
            let name = file?.file_name();
            let name = name.to_str().and_then(FileName::parse);
            found.extend(name.filter(|name| name.kind == FileKind::Sst).map(|name| name.sequence));
        }
        Ok(compare(&format!("the tables {when}"), &found, &expected))
    }

    fn roll_back(
        &self,
        publisher: &mut Publisher,
        to: Option<SequenceNumber>,
        live: &[Live],
    ) -> Judged {
        publisher.rollback(to, &Monitor::default())?;
        let expected = marks(live)?;
        let judged = compare("the writer after a rollback", &live_marks(publisher), &expected)
            .and(compare("the reader after a rollback", &self.read_marks()?, &expected));
        match judged {
            Ok(()) => self.contents("the reader after a rollback", live),
            judged => Ok(judged),
        }
    }

    fn merge_in_place(&self, publisher: &mut Publisher, live: &[Live]) -> Judged {
        for family in FAMILIES {
            let (options, reader) = (MergeOptions::default(), ReaderOptions::default());
            compact(publisher, family, usize::MAX, &options, &reader, &Monitor::default())?;
            let judged = self.contents("the reader after a merge in place", live)?;
            if judged.is_err() {
                return Ok(judged);
            }
        }
        Ok(Ok(()))
    }
}

/// The keys and values that a set shows.
fn entries_of(set: &SstSet) -> Result<Content, AnyError> {
    let mut found = Content::new();
    for entry in set.iter() {
        let entry = entry?;
        if let ReadValue::Value(value) = entry.value {
            found.insert(entry.key.to_vec(), value.to_vec());
        }
    }
    Ok(found)
}

fn live_marks(publisher: &Publisher) -> Vec<u32> {
    publisher.live_tables().map(|(_, table)| table.flags.0).collect()
}

fn marks(live: &[Live]) -> Result<Vec<u32>, AnyError> {
    live.iter().map(|live| Ok(mark(live.meta, live.index)?.0)).collect()
}

fn compare<T: PartialEq + std::fmt::Debug>(
    who: &str,
    found: &T,
    expected: &T,
) -> Result<(), CheckError> {
    if found != expected {
        return fail(format!("{who} finds {found:x?}, expected {expected:x?}"));
    }
    Ok(())
}
