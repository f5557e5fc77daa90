//! Merging into a commit, into a file, and in place.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use sst_format::hash_ranges::HashRanges;
use sst_format::monitor::{Meter, Phase, Progress};
use sst_format::protection::BlobRecord;
use sst_format::{SequenceNumber, SstMeta};
use sst_reader::{Catalog, ReaderOptions};
use sst_writer::file::{FileError, RemoteOutput};
use sst_writer::publish::{Commit, CommitKind, TaskTable};
use sst_writer::{Publisher, WriterOptions};

use super::commit_target::CommitTarget;
use super::file_target::FileTarget;
use super::remote_target::RemoteTarget;
use super::table_splitter::{TableSplitter, Written};
use super::target::Target;
use crate::certify::merged_in_place::MergedInPlace;
use crate::input::SampleWindow;
use crate::{
    Counts, Duplicates, Inputs, MergeError, MergeOptions, Monitor, OlderTables, Sample, certify,
};

/// The figures of a finished merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeReport {
    /// Entries of all inputs.
    pub read: u64,
    /// Entries that newer ones of their key hide.
    pub hidden: u64,
    /// Tombstones that were left out, since there is nothing left for them to hide.
    pub dropped_tombstones: u64,
    /// Entries that were written, tombstones included.
    pub entries: u64,
    /// Tombstones that were written.
    pub tombstones: u64,
    /// Medium values that were taken over in stored form.
    pub stored_blocks: u64,
    /// Entries with a value in a blob file.
    pub blobs: u64,
    /// Blob files that were copied from another directory; the others are referred to where they
    /// are.
    pub copied_blobs: u64,
    /// Tables that were written.
    pub tables: u64,
    /// Length of the tables in bytes.
    pub table_bytes: u64,
}

impl MergeReport {
    fn new(counts: Counts, written: Written, copied_blobs: u64) -> Self {
        Self {
            read: counts.read,
            hidden: counts.hidden,
            dropped_tombstones: counts.dropped_tombstones,
            entries: written.entries,
            tombstones: written.tombstones,
            stored_blocks: written.stored_blocks,
            blobs: written.blobs,
            copied_blobs,
            tables: written.tables,
            table_bytes: written.table_bytes,
        }
    }
}

/// Merges inputs into tables of a commit. The commit is not published, nor is anything made
/// obsolete: that is up to the caller.
///
/// Medium values are copied as they are stored, blobs of other directories too; blobs of the
/// commit's own directory are referred to. O(entries × log(runs)); memory: one block for each run
/// of tables, what the writer needs, and 16 bytes for each copied blob.
///
/// # Errors
///
/// [`MergeError`]. Drop the commit then.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::{Inputs, MergeOptions, Monitor, merge_into_commit};
/// use sst_reader::ReaderOptions;
/// use sst_writer::{Publisher, PublisherOptions};
///
/// let mut inputs = Inputs::new(&ReaderOptions::default());
/// inputs.add_directory("monday.db", 0)?;
/// inputs.add_directory("tuesday.db", 0)?;
/// let mut publisher = Publisher::open("both.db", PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// commit.replace_all();
/// let options = MergeOptions::default();
/// merge_into_commit(&inputs, &mut commit, &options, &Monitor::default())?;
/// commit.publish(&Monitor::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge_into_commit(
    inputs: &Inputs,
    commit: &mut Commit<'_>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<MergeReport, MergeError> {
    let parts = all_keys(options);
    parts_into_commit(inputs, &parts, commit, options, monitor)
}

/// Writes a sample of the live entries of the inputs into tables of a commit, like
/// [`merge_into_commit`]. [`MergeOptions::hashes`] and [`MergeOptions::older`] are ignored. O(size
/// of the sample).
///
/// # Errors
///
/// [`MergeError`]. Drop the commit then.
pub fn sample_into_commit(
    inputs: &Inputs,
    sample: &Sample,
    commit: &mut Commit<'_>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<MergeReport, MergeError> {
    let options = options.clone().older(OlderTables::none());
    let parts = sample.parts(inputs, options.duplicates)?;
    parts_into_commit(inputs, &parts, commit, &options, monitor)
}

fn parts_into_commit(
    inputs: &Inputs,
    parts: &[SampleWindow],
    commit: &mut Commit<'_>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<MergeReport, MergeError> {
    let target = CommitTarget::new(commit, writer_options(options), monitor);
    let (counts, written, target) = write(inputs, parts, target, options, monitor)?;
    Ok(MergeReport::new(counts, written, target.copied_blobs()))
}

/// A merge that was written to a place which is no directory of the file system.
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteMerge {
    /// Its figures.
    pub report: MergeReport,
    /// Its tables, in the order of their hashes.
    pub tables: Vec<TaskTable>,
    /// The blobs to which they refer.
    pub blobs: Vec<BlobRecord>,
}

/// Merges inputs into tables at a place that is no directory of the file system, such as a bucket,
/// which gets them while they are written. Nothing is published: that is up to the caller.
///
/// Blobs are copied: those of directories as they are stored, and those of stores by their values,
/// of which one at a time is in memory.
///
/// # Errors
///
/// [`MergeError`]. Files that were complete before stay at the place.
pub fn merge_into_output(
    inputs: &Inputs,
    output: Arc<dyn RemoteOutput>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<RemoteMerge, MergeError> {
    parts_into_output(inputs, &all_keys(options), output, options, monitor)
}

/// Writes a sample of the live entries of the inputs, like [`merge_into_output`].
/// [`MergeOptions::hashes`] and [`MergeOptions::older`] are ignored. O(size of the sample).
///
/// # Errors
///
/// As [`merge_into_output`].
pub fn sample_into_output(
    inputs: &Inputs,
    sample: &Sample,
    output: Arc<dyn RemoteOutput>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<RemoteMerge, MergeError> {
    let options = options.clone().older(OlderTables::none());
    let parts = sample.parts(inputs, options.duplicates)?;
    parts_into_output(inputs, &parts, output, &options, monitor)
}

fn parts_into_output(
    inputs: &Inputs,
    parts: &[SampleWindow],
    output: Arc<dyn RemoteOutput>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<RemoteMerge, MergeError> {
    let target = RemoteTarget::new(output, writer_options(options), monitor);
    let (counts, written, target) = write(inputs, parts, target, options, monitor)?;
    let report = MergeReport::new(counts, written, target.copied_blobs());
    let RemoteTarget { tables, blobs, .. } = target;
    Ok(RemoteMerge { report, tables, blobs })
}

/// Merges inputs into one table in a file of its own. `None` if there is no entry: a table needs
/// one, so there is no file.
///
/// # Errors
///
/// [`MergeError`]; there is no file then. [`MergeError::BlobInLoneTable`] if a value is in a blob
/// file, [`MergeError::TooLargeForOneTable`] if a table cannot hold all of it.
pub fn merge_into_file(
    inputs: &Inputs,
    path: impl AsRef<Path>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<(MergeReport, Option<SstMeta>), MergeError> {
    parts_into_file(inputs, &all_keys(options), path.as_ref(), options, monitor)
}

/// Writes a sample of the live entries of the inputs into one table in a file of its own, like
/// [`merge_into_file`]. [`MergeOptions::hashes`] and [`MergeOptions::older`] are ignored. O(size of
/// the sample).
///
/// # Errors
///
/// As [`merge_into_file`].
pub fn sample_into_file(
    inputs: &Inputs,
    sample: &Sample,
    path: impl AsRef<Path>,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<(MergeReport, Option<SstMeta>), MergeError> {
    let options = options.clone().older(OlderTables::none());
    let parts = sample.parts(inputs, options.duplicates)?;
    parts_into_file(inputs, &parts, path.as_ref(), &options, monitor)
}

fn parts_into_file(
    inputs: &Inputs,
    parts: &[SampleWindow],
    path: &Path,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<(MergeReport, Option<SstMeta>), MergeError> {
    let target = FileTarget::new(path, writer_options(options));
    let options = options.clone().max_table_entries(u64::MAX).max_table_bytes(u64::MAX);
    let (counts, written, target) = write(inputs, parts, target, &options, monitor)?;
    Ok((MergeReport::new(counts, written, 0), target.finish()))
}

/// A compaction that was published.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compaction {
    /// Figures of the merge.
    pub report: MergeReport,
    /// The commit.
    pub commit: SequenceNumber,
    /// Tables that the new ones replace.
    pub replaced_tables: u64,
    /// Files that belong to no commit any more and could not be removed. The next publisher tries
    /// again.
    pub not_removed: Vec<FileError>,
}

/// Merges the `newest` newest tables of a family in place, or all of them (`usize::MAX`): the
/// result is published as a commit that replaces them. Readers see the tables before or the tables
/// after; a crash leaves the one or the other.
///
/// The commit is certified if the publisher takes digests. If it does not and the family has a
/// certificate, the merge keeps it: the output is read back from the device and compared with what
/// it replaces (FORMAT.md section 12).
///
/// The commit is no generation of its own, because lookups answer as before: a rollback without a
/// target passes over it. With [`Duplicates::Keep`] they may not, and the commit is a generation,
/// unless a certificate shows that they do.
///
/// Tombstones are dropped if no older table that stays may hold their hash: all of them if all
/// tables take part. `None` if there is nothing to do: no table takes part. Then the files go that
/// an earlier merge has left which was killed ([`Publisher::remove_leftover_files`]).
/// [`MergeOptions::older`] and [`MergeOptions::hashes`] are ignored.
///
/// # Errors
///
/// [`MergeError`]; the directory is then as before.
pub fn compact(
    publisher: &mut Publisher,
    family: u32,
    newest: usize,
    options: &MergeOptions,
    reader: &ReaderOptions,
    monitor: &Monitor,
) -> Result<Option<Compaction>, MergeError> {
    if publisher.current().is_none() {
        return Ok(None);
    }
    // The publisher holds the lock, so nothing changes underneath.
    let catalog = Arc::new(Catalog::read(publisher.directory())?);
    let of_family = catalog.tables.iter().filter(|table| table.family == family);
    let merged: HashSet<_> = of_family.take(newest).map(|table| table.sequence).collect();
    if merged.is_empty() {
        publisher.remove_leftover_files()?;
        return Ok(None);
    }
    compact_tables(publisher, &catalog, family, &merged, options, reader, monitor).map(Some)
}

/// As [`compact`], of some tables of a family: of all that are newer than one of them, either they
/// are among them too, or they do not overlap it.
pub(crate) fn compact_tables(
    publisher: &mut Publisher,
    catalog: &Arc<Catalog>,
    family: u32,
    merged: &HashSet<SequenceNumber>,
    options: &MergeOptions,
    reader: &ReaderOptions,
    monitor: &Monitor,
) -> Result<Compaction, MergeError> {
    check_order(catalog, family, merged)?;
    let mut inputs = Inputs::new(reader);
    let older = inputs.add_chosen(catalog, family, merged);
    let options = options.clone().older(older).hashes(0..=u64::MAX);
    let mut commit = publisher.begin_family(family);
    commit.set_kind(CommitKind::Merge);
    let report = merge_into_commit(&inputs, &mut commit, &options, monitor)?;
    let of_family = catalog.tables.iter().filter(|table| table.family == family);
    for table in of_family.filter(|table| merged.contains(&table.sequence)) {
        commit.obsolete(table.sequence)?;
    }
    // Some systems remove no file that is open.
    drop(inputs);
    let in_place = MergedInPlace {
        base: catalog,
        merged,
        older: &options.older,
        duplicates: options.duplicates,
    };
    let mut prepared = commit.prepare()?;
    let is_same = match prepared.has_digests() {
        true => in_place.check(family, certify(&mut prepared, monitor)?)?,
        false => in_place.keep_certificate(&mut prepared, monitor)?,
    };
    if options.duplicates == Duplicates::Keep && !is_same {
        // A lookup may now find more entries of a key, so the commit before is a generation.
        prepared.set_kind(CommitKind::Append);
    }
    let info = prepared.publish(monitor)?;
    let replaced_tables = merged.len() as u64;
    Ok(Compaction { report, commit: info.commit, replaced_tables, not_removed: info.not_removed })
}

/// The output is newer than all tables. So no table may stay that is newer than one of the merged
/// ones and may hold the same key.
fn check_order(
    catalog: &Catalog,
    family: u32,
    merged: &HashSet<SequenceNumber>,
) -> Result<(), MergeError> {
    let mut newer = HashRanges::default();
    for table in catalog.tables.iter().filter(|table| table.family == family) {
        let (min, max) = (table.record.min_hash, table.record.max_hash);
        if !merged.contains(&table.sequence) {
            newer.join(min, max);
        } else if newer.meet(min, max) {
            return Err(MergeError::internal("no newer table that stays overlaps a merged one"));
        }
    }
    Ok(())
}

/// All tables of a merge may hold a key more than once: the cursor has resolved duplicates.
fn writer_options(options: &MergeOptions) -> WriterOptions {
    options.writer.clone().multi_value(true)
}

/// All keys that a merge is about.
fn all_keys(options: &MergeOptions) -> [SampleWindow; 1] {
    [SampleWindow { hashes: options.hashes.clone(), max_keys: u64::MAX }]
}

/// Walks the merged entries of some parts of all hashes, in ascending order, and writes them.
fn write<T: Target>(
    inputs: &Inputs,
    parts: &[SampleWindow],
    target: T,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<(Counts, Written, T), MergeError> {
    let is_all =
        matches!(parts, [part] if part.hashes == (0..=u64::MAX) && part.max_keys == u64::MAX);
    let total = if is_all { inputs.entry_count() } else { None };
    let mut meter = Meter::new(monitor, Progress::new(Phase::Merge).total_entries(total));
    let mut splitter = TableSplitter::new(target, options);
    let mut counts = Counts::default();
    for part in parts {
        let (duplicates, older) = (options.duplicates, options.older.clone());
        let mut cursor = inputs.cursor(part.hashes.clone(), duplicates, older)?;
        let mut keys = 0;
        while let Some(entry) = cursor.next()? {
            keys += u64::from(entry.starts_key);
            if keys > part.max_keys {
                break;
            }
            splitter.add(entry)?;
            meter.at(counts.read + cursor.counts().read, 0)?;
        }
        counts += cursor.counts();
    }
    let (written, target) = splitter.finish()?;
    Ok((counts, written, target))
}
