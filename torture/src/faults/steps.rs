//! Commits of every kind, and the content that a reader must see after them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_merge::MergeError;
use sst_reader::{ReadError, SstSet, verify_directory};
use sst_writer::publish::Commit;
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, WriterOptions};

use super::load::Load;
use crate::model::reader_options;

/// The live entries of all families: values by family and key.
pub type Content = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// One commit. All its values contain its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A table with some keys, old and new.
    Append,
    /// A table with all keys, which replaces all earlier tables.
    ReplaceAll,
    /// A table with some keys that have blobs.
    Blobs,
    /// A table that deletes some keys and sets others.
    Tombstones,
    /// A table with some keys; the oldest table becomes obsolete.
    Obsolete,
    /// Two tables. The second one overrides some keys of the first.
    TwoTables,
    /// A table of another family.
    OtherFamily,
    /// A table, and a blob and another table that are not added to the commit.
    Unused,
    /// All tables become obsolete; none is added.
    Clear,
}

/// All steps.
pub const STEPS: [Step; 9] = [
    Step::Append,
    Step::ReplaceAll,
    Step::Blobs,
    Step::Tombstones,
    Step::Obsolete,
    Step::TwoTables,
    Step::OtherFamily,
    Step::Unused,
    Step::Clear,
];

const KEYS: u64 = 24;

pub(super) fn key(index: u64) -> Vec<u8> {
    format!("key number {index:02}").into_bytes()
}

/// The value that a commit gives a key: by its length an inline, small or medium value, or a medium
/// value that does not compress.
pub(super) fn value(commit: u64, index: u64) -> Vec<u8> {
    let stamp = commit * 1000 + index;
    match index % 4 {
        0 => stamp.to_be_bytes().to_vec(),
        1 => format!("value {stamp} ").repeat(9).into_bytes(),
        2 => format!("value {stamp} ").repeat(500).into_bytes(),
        _ => sst_conformance::SplitMix::new(stamp).bytes(5000),
    }
}

/// The entries of a table: for each key its value, or `None` for a tombstone.
type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn rows(commit: u64, is_set: impl Fn(u64) -> bool, is_deleted: impl Fn(u64) -> bool) -> Rows {
    let rows = (0..KEYS).filter(|&i| is_set(i) || is_deleted(i));
    rows.map(|i| (key(i), (!is_deleted(i)).then(|| value(commit, i)))).collect()
}

fn some(commit: u64) -> impl Fn(u64) -> bool {
    move |i| (i + commit).is_multiple_of(3)
}

const fn none(_: u64) -> bool {
    false
}

/// Writes a table and adds it to the commit.
fn add_table(commit: &mut Commit<'_>, rows: &Rows, with_blobs: bool) -> Result<(), PublishError> {
    let options = WriterOptions::default().filter(QuotientFilter::default());
    let mut table = commit.create_table(options)?;
    let mut sorted: Vec<_> = rows.iter().map(|(key, value)| (hash_key(key), key, value)).collect();
    sorted.sort();
    for (i, (_, key, value)) in sorted.into_iter().enumerate() {
        let key = key.as_slice();
        match value {
            None => table.add((key, EntryValue::Deleted))?,
            Some(value) if with_blobs && i.is_multiple_of(3) => {
                let blob = commit.create_blob(value)?;
                table.add((key, EntryValue::Blob(blob)))?;
            }
            Some(value) => table.add((key, value.as_slice()))?,
        }
    }
    commit.add_table(table.finish()?)
}

impl Step {
    const fn family(self) -> u32 {
        match self {
            Self::OtherFamily => 7,
            _ => 0,
        }
    }

    /// The tables that the commit adds, older ones first.
    fn tables(self, number: u64) -> Vec<Rows> {
        match self {
            Self::ReplaceAll => vec![rows(number, |_| true, none)],
            Self::Tombstones => {
                vec![rows(number, some(number), |i| (i + number).is_multiple_of(5))]
            }
            Self::TwoTables => {
                vec![rows(number, some(number), none), rows(number, some(number + 1), |i| i == 2)]
            }
            Self::Clear => Vec::new(),
            Self::Append | Self::Blobs | Self::Obsolete | Self::OtherFamily | Self::Unused => {
                vec![rows(number, some(number), none)]
            }
        }
    }

    /// Makes the commit. It is certified if the publisher computes digests.
    ///
    /// # Errors
    ///
    /// The error of the publisher.
    pub fn apply(self, publisher: &mut Publisher, number: u64) -> Result<(), MergeError> {
        let family = self.family();
        let oldest = publisher.live_tables().find(|(of, _)| *of == family);
        let oldest = oldest.map(|(_, table)| table.sequence);
        let mut commit = publisher.begin_family(family);
        if self == Self::Unused {
            commit.create_blob(b"unreferenced")?;
            let mut table = commit.create_table(WriterOptions::default())?;
            table.add((&b"key"[..], &b"in a table that is not added"[..]))?;
            drop(table.finish()?);
        }
        for rows in self.tables(number) {
            add_table(&mut commit, &rows, self == Self::Blobs)?;
        }
        match self {
            Self::ReplaceAll | Self::Clear => commit.replace_all(),
            Self::Obsolete => oldest.map_or(Ok(()), |oldest| commit.obsolete(oldest))?,
            _ => {}
        }
        sst_merge::publish(commit, &Monitor::default()).map(drop)
    }
}

/// The content of a directory after some commits, numbered from 1.
#[must_use]
pub fn content_after(steps: &[Step]) -> Content {
    // The live tables of all families, the oldest first.
    let mut tables: Vec<(u32, Rows)> = Vec::new();
    for (number, &step) in (1..).zip(steps) {
        let family = step.family();
        match step {
            Step::ReplaceAll | Step::Clear => tables.retain(|(of, _)| *of != family),
            Step::Obsolete => {
                if let Some(oldest) = tables.iter().position(|(of, _)| *of == family) {
                    tables.remove(oldest);
                }
            }
            _ => {}
        }
        tables.extend(step.tables(number).into_iter().map(|rows| (family, rows)));
    }
    let mut content = Content::new();
    for (family, rows) in tables {
        for (key, value) in rows {
            match value {
                Some(value) => content.insert((family, key), value),
                None => content.remove(&(family, key)),
            };
        }
    }
    content
}

/// The content of a directory as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The directory has no commit.
    Nothing,
    /// The directory has a commit with this content.
    Commit(Content),
}

impl Seen {
    /// The view after some commits.
    #[must_use]
    pub fn after(steps: &[Step]) -> Self {
        if steps.is_empty() { Self::Nothing } else { Self::Commit(content_after(steps)) }
    }

    /// The view after one more commit, a bulk load.
    #[must_use]
    pub fn with_load(self, load: Load, number: u64) -> Self {
        let mut content = match self {
            Self::Nothing => Content::new(),
            Self::Commit(content) => content,
        };
        load.change(&mut content, number);
        Self::Commit(content)
    }

    /// The content that a reader sees. Reads everything by iteration and key by key, and verifies
    /// the directory.
    ///
    /// # Errors
    ///
    /// The contradiction that the reader finds: a broken promise.
    pub fn of(directory: &Path) -> Result<Self, String> {
        match Self::read(directory) {
            Ok(seen) => seen,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::Nothing)
            }
            Err(error) => Err(format!("the directory cannot be read: {error}")),
        }
    }

    fn read(directory: &Path) -> Result<Result<Self, String>, ReadError> {
        let options = reader_options();
        let mut content = Content::new();
        for family in [0, 7] {
            let set = SstSet::open_family(directory, family, &options)?;
            for entry in set.iter() {
                let entry = entry?;
                let value = set.get(&entry.key)?.map(|value| value.to_vec());
                let Some(value) = value else { return Ok(Err("a key is gone".to_owned())) };
                content.insert((family, entry.key.to_vec()), value);
            }
            for key in (0..KEYS).map(key) {
                let found = set.get(&key)?.map(|value| value.to_vec());
                if found.as_ref() != content.get(&(family, key)) {
                    return Ok(Err("lookup and iteration disagree".to_owned()));
                }
            }
        }
        let report = verify_directory(directory, &options, &Monitor::default())?;
        if let Some(damage) = report.damage.first() {
            return Ok(Err(format!("it is damaged: {damage}")));
        }
        Ok(Ok(Self::Commit(content)))
    }
}
