//! Operations on whole directories: verify, inspect, merge, gather, rollback and others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sst_amqf::QuotientFilter;
use sst_format::SequenceNumber;
use sst_format::monitor::Monitor;
use sst_merge::{
    FragmentOverlap, Gatherer, Inputs, MergeOptions, MergePolicy, MergeReport, OlderTables,
    RemoteMerge, ShardMap, auto_compact, compact as compact_all, merge_into_commit,
    merge_into_output,
};
use sst_object_store::{
    AdoptOptions, GcOptions, ObjectPublisher, ObjectPublisherOptions, Place, Store, block_on,
    collect_garbage,
};
use sst_reader::{Catalog, StaticSortedFile, VerifyReport, hash_key, verify_directory};
use sst_writer::publish::list_commits;
use sst_writer::{Publisher, PublisherOptions};

use crate::blocking::Observer;
use crate::bucket_commit::{BucketCommit, WrittenObjects};
use crate::bytes_of::bytes_of;
use crate::commit_report::CommitReport;
use crate::errors::Error;
use crate::load::{duplicates_of, writer_options};
use crate::place::{path_of, place_of, plain_options, readable};
use crate::reports::{PyCertificate, PyVerifyReport, inspect_catalog, kind_name};
use crate::target::{Mode, PublishPlan, Published, error_after, publisher_of};

/// Whether a path is that of a table, not of a directory.
fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

fn catalog_of(path: &Path) -> Result<Catalog, Error> {
    Ok(Catalog::read_with(path, &plain_options())?)
}

/// The family that was chosen, or the lowest one of all directories among the paths.
pub(crate) fn family_of(family: Option<u32>, paths: &[PathBuf]) -> Result<u32, Error> {
    if let Some(family) = family {
        return Ok(family);
    }
    let mut lowest = None;
    for path in paths.iter().filter(|path| !is_table(path)) {
        let of_path = catalog_of(path)?.families().first().copied();
        lowest = lowest.into_iter().chain(of_path).min();
    }
    // Tables on their own belong to no family, so their output gets the first one, 0.
    Ok(lowest.unwrap_or(0))
}

/// Opens directories and tables, the oldest first.
pub(crate) fn inputs_of(paths: &[PathBuf], family: u32) -> Result<Inputs, Error> {
    let mut inputs = Inputs::new(&plain_options());
    for path in paths {
        match is_table(path) {
            true => inputs.add_table(path)?,
            false => inputs.add_catalog(&Arc::new(catalog_of(path)?), family),
        }
    }
    Ok(inputs)
}

/// Checks every byte of a directory or bucket, all its families, or of one table: checksums, the
/// order of entries, every reference, and whether the entries are those that its certificates
/// state. Damage is not raised, but part of the report. O(bytes).
#[pyfunction]
#[pyo3(signature = (path, *, progress = None))]
pub(crate) fn verify(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<PyVerifyReport, Error> {
    let path = readable(path_of(path)?)?;
    let report = Observer::new(progress)?.run(py, |monitor| verify_path(&path, monitor))?;
    Ok(PyVerifyReport::new(py, &report)?)
}

fn verify_path(path: &Path, monitor: &Monitor) -> Result<VerifyReport, Error> {
    let options = plain_options();
    if !is_table(path) {
        return Ok(verify_directory(path, &options, monitor)?);
    }
    let table = match Catalog::around_table(path, &options)? {
        Some((_, described)) => StaticSortedFile::open(path, &described.meta()?, &options)?,
        None => StaticSortedFile::open_standalone(path, &options)?,
    };
    Ok(table.verify(monitor)?)
}

/// Facts about the newest commit of a directory or bucket, as a dict: `path`, `commit`, `kind`,
/// `is_protected`, `shard`, `families`, `meta_files`, `certificates`, and `tables`, of each of
/// which `sequence`, `family`, `entries`, `bytes`, `blocks`, `min_hash`, `max_hash`,
/// `filter_bytes`. No table is read.
#[pyfunction]
pub(crate) fn inspect<'py>(
    py: Python<'py>,
    path: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyDict>, Error> {
    let path = readable(path_of(path)?)?;
    let catalog = py.detach(|| catalog_of(&path))?;
    inspect_catalog(py, &catalog)
}

/// The certificate of a family of a directory or bucket; `None` if its commit has none.
#[pyfunction]
#[pyo3(signature = (path, *, family = 0))]
pub(crate) fn certificate(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    family: u32,
) -> Result<Option<PyCertificate>, Error> {
    let path = readable(path_of(path)?)?;
    let catalog = py.detach(|| catalog_of(&path))?;
    Ok(catalog.certificate(family).map(|digest| PyCertificate::new(family, &digest)))
}

/// The paths of a list of them, or of one.
fn paths_of(inputs: &Bound<'_, PyAny>) -> Result<Vec<PathBuf>, Error> {
    let paths: Vec<_> = match inputs.extract::<PathBuf>() {
        Ok(path) => vec![path],
        Err(_) => inputs.try_iter()?.map(|path| path_of(&path?)).collect::<Result<_, _>>()?,
    };
    // A pattern that no path matches would replace what there is by nothing.
    if paths.is_empty() {
        return Err(Error::usage("there is no input"));
    }
    paths.into_iter().map(readable).collect()
}

/// Merges directories, buckets and `.sst` tables, the oldest first, into one commit of the
/// directory or bucket `output`. Where two inputs know a key, the later one counts; `duplicates`
/// may be `"keep"` or `"error"`, too. The output may be one of the inputs.
#[pyfunction]
#[pyo3(signature = (inputs, output, *, mode = "replace", family = None, duplicates = "newest",
    compression = "lz4", certify = false, keep_generations = 1, progress = None))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn merge(
    py: Python<'_>,
    inputs: &Bound<'_, PyAny>,
    output: &Bound<'_, PyAny>,
    mode: &str,
    family: Option<u32>,
    duplicates: &str,
    compression: &str,
    certify: bool,
    keep_generations: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<CommitReport, Error> {
    let (inputs, output) = (paths_of(inputs)?, path_of(output)?);
    let mode = Mode::of(mode)?;
    let options = MergeOptions::default()
        .duplicates(duplicates_of(duplicates)?)
        .writer(writer_options(compression)?);
    Observer::new(progress)?.run(py, |monitor| {
        let family = family_of(family, &inputs)?;
        let plan = PublishPlan { family, mode, certify, keep_generations };
        let older = match mode {
            Mode::Replace => OlderTables::none(),
            // The tables below are not known, as other writers may add some to a bucket.
            Mode::Append => OlderTables::unknown(),
        };
        let options = options.clone().older(older);
        let place = place_of(&output)?;
        // Found before the output is made.
        let opened = inputs_of(&inputs, family)?;
        let (report, published) = match &place {
            Place::Directory(directory) => {
                merge_into_directory(directory, plan, opened, options, monitor)?
            }
            Place::Bucket(store) => merge_into_bucket(store, plan, &opened, &options, monitor)?,
        };
        Ok(CommitReport::of_merge(&report, &published, family))
    })
}

fn merge_into_directory(
    directory: &Path,
    plan: PublishPlan,
    inputs: Inputs,
    options: MergeOptions,
    monitor: &Monitor,
) -> Result<(MergeReport, Published), Error> {
    let mut publisher = publisher_of(directory, plan)?;
    let before = publisher.current();
    let merged = (|| {
        let mut commit = publisher.begin_family(plan.family);
        if plan.mode == Mode::Replace {
            commit.replace_all();
        }
        let report = merge_into_commit(&inputs, &mut commit, &options, monitor)?;
        // Close the input tables. They may be among the files that the commit makes obsolete.
        drop(inputs);
        let info = sst_merge::publish(commit, monitor)?;
        Ok((report, Published { commit: info.commit, certificates: info.certificates }))
    })();
    merged.map_err(|error| error_after(directory, publisher.is_poisoned(), before, error))
}

fn merge_into_bucket(
    store: &Store,
    plan: PublishPlan,
    inputs: &Inputs,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<(MergeReport, Published), Error> {
    let commit = BucketCommit::begin(store, plan)?;
    match merge_into_output(inputs, commit.output(), options, monitor) {
        Ok(RemoteMerge { report, tables, blobs, .. }) => {
            let written = WrittenObjects { tables, blobs, unused: Vec::new() };
            Ok((report, commit.publish(written, monitor)?))
        }
        Err(error) => {
            commit.discard();
            Err(error.into())
        }
    }
}

/// Merges the tables of a directory in place, as one commit: all of them, or with `auto` as many as
/// a policy finds worth it (see `sst merge --auto`). Lookups answer as before. The report has no
/// commit if there is nothing to do. A certificate is kept.
#[pyfunction]
#[pyo3(signature = (path, *, family = 0, auto = false, compression = "lz4", keep_generations = 1,
    progress = None))]
pub(crate) fn compact(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    family: u32,
    auto: bool,
    compression: &str,
    keep_generations: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<CommitReport, Error> {
    let path = directory_of(path)?;
    let options = MergeOptions::default().writer(writer_options(compression)?);
    Observer::new(progress)?.run(py, |monitor| {
        let mut publisher = open_publisher(&path, keep_generations)?;
        let before = publisher.current();
        let reader = plain_options();
        let mut last = None;
        let compacted = match auto {
            false => compact_all(&mut publisher, family, usize::MAX, &options, &reader, monitor)
                .map(|done| last = done.map(|it| (it.report, it.commit))),
            true => auto_compact(
                &mut publisher,
                family,
                &MergePolicy::default(),
                &options,
                &reader,
                monitor,
                |_, done| last = Some((done.report, done.commit)),
            )
            .map(drop),
        };
        if let Err(error) = compacted {
            let is_poisoned = publisher.is_poisoned();
            return Err(error_after(publisher.directory(), is_poisoned, before, error.into()));
        }
        let Some((report, commit)) = last else { return Ok(CommitReport::nothing()) };
        let certificates = Catalog::read(publisher.directory())?.certificates;
        let published = Published { commit, certificates };
        Ok(CommitReport::of_merge(&report, &published, family))
    })
}

/// The directory at a path or `file` URL; an error for a bucket.
fn directory_of(path: &Bound<'_, PyAny>) -> Result<PathBuf, Error> {
    match place_of(&path_of(path)?)? {
        Place::Directory(directory) => Ok(directory),
        Place::Bucket(store) => {
            Err(Error::usage(format!("{}: this works in a directory, not a bucket", store.name())))
        }
    }
}

/// Opens a directory that exists.
fn open_publisher(path: &Path, keep_generations: usize) -> Result<Publisher, Error> {
    // Before a publisher removes leftovers: this is a directory with a commit.
    catalog_of(path)?;
    let options =
        PublisherOptions::default().create_directory(false).keep_generations(keep_generations);
    Ok(Publisher::open(path, options)?)
}

/// Publishes directories that were loaded elsewhere as one commit of the directory `output`. Their
/// tables are copied, every byte of the copies is verified, and where a fragment is certified, its
/// content too. Fragments with keys in common are an error with `overlap="refuse"`; with
/// `"later-wins"` the later one counts.
#[pyfunction]
#[pyo3(signature = (fragments, output, *, mode = "replace", family = 0, overlap = "refuse",
    certify = false, keep_generations = 1, progress = None))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn gather(
    py: Python<'_>,
    fragments: &Bound<'_, PyAny>,
    output: &Bound<'_, PyAny>,
    mode: &str,
    family: u32,
    overlap: &str,
    certify: bool,
    keep_generations: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<CommitReport, Error> {
    let (fragments, output) = (paths_of(fragments)?, path_of(output)?);
    let overlap = match overlap {
        "refuse" => FragmentOverlap::Refuse,
        "later-wins" => FragmentOverlap::LaterWins,
        _ => return Err(Error::usage("overlap is \"refuse\" or \"later-wins\"")),
    };
    let plan = PublishPlan { family, mode: Mode::of(mode)?, certify, keep_generations };
    Observer::new(progress)?.run(py, |monitor| match place_of(&output)? {
        Place::Directory(directory) => {
            gather_into_directory(&directory, plan, &fragments, overlap, monitor)
        }
        Place::Bucket(store) => gather_into_bucket(&store, plan, &fragments, overlap, monitor),
    })
}

fn gather_into_directory(
    directory: &Path,
    plan: PublishPlan,
    fragments: &[PathBuf],
    overlap: FragmentOverlap,
    monitor: &Monitor,
) -> Result<CommitReport, Error> {
    let mut publisher = publisher_of(directory, plan)?;
    let before = publisher.current();
    let gathered = (|| {
        let mut commit = publisher.begin_family(plan.family);
        let mut report = CommitReport::nothing();
        let mut gatherer = Gatherer::new(&mut commit, overlap).filter(QuotientFilter::default());
        for fragment in fragments {
            let info = gatherer.add(fragment, monitor)?;
            report.entries += info.entries;
            report.tables += info.tables;
            report.bytes += info.bytes;
        }
        if plan.mode == Mode::Replace {
            commit.replace_all();
        }
        let info = sst_merge::publish(commit, monitor)?;
        let published = Published { commit: info.commit, certificates: info.certificates };
        Ok(report.of_commit(&published, plan.family))
    })();
    gathered.map_err(|error| error_after(directory, publisher.is_poisoned(), before, error))
}

fn gather_into_bucket(
    store: &Store,
    plan: PublishPlan,
    fragments: &[PathBuf],
    overlap: FragmentOverlap,
    monitor: &Monitor,
) -> Result<CommitReport, Error> {
    let options = AdoptOptions::default().overlap(overlap).filter(QuotientFilter::default());
    let mut commit = BucketCommit::begin(store, plan)?;
    let mut report = CommitReport::nothing();
    for fragment in fragments {
        let adopted = place_of(fragment).and_then(|it| commit.adopt(&it, &options, monitor));
        match adopted {
            Ok(info) => {
                report.entries += info.entries;
                report.tables += info.tables;
                report.bytes += info.bytes;
            }
            Err(error) => {
                commit.discard();
                return Err(error);
            }
        }
    }
    let published = commit.publish(WrittenObjects::default(), monitor)?;
    Ok(report.of_commit(&published, plan.family))
}

/// Returns a directory or bucket to an earlier generation, as a new commit: the generation before
/// the newest, or `generation`, a number of `log`. It can be rolled back as well.
#[pyfunction]
#[pyo3(signature = (path, generation = None, *, keep_generations = 1))]
pub(crate) fn rollback(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    generation: Option<u32>,
    keep_generations: usize,
) -> Result<CommitReport, Error> {
    let place = place_of(&path_of(path)?)?;
    let generation = generation.map(SequenceNumber);
    Observer::new(None)?.run(py, |monitor| {
        let (commit, tables) = match &place {
            Place::Directory(path) => {
                roll_back_directory(path, generation, keep_generations, monitor)?
            }
            Place::Bucket(store) => block_on(async {
                let options = ObjectPublisherOptions::default();
                let mut publisher = ObjectPublisher::new(store, options)?;
                let info = publisher.rollback(generation, monitor).await?;
                let tables = publisher.live_tables().count();
                // The commit is live. A claim that stays costs nothing but time.
                _ = publisher.close().await;
                Ok((info.commit, tables))
            })?,
        };
        Ok(CommitReport {
            commit: Some(commit.0),
            tables: tables as u64,
            ..CommitReport::nothing()
        })
    })
}

fn roll_back_directory(
    path: &Path,
    generation: Option<SequenceNumber>,
    keep_generations: usize,
    monitor: &Monitor,
) -> Result<(SequenceNumber, usize), Error> {
    let mut publisher = open_publisher(path, keep_generations)?;
    let before = publisher.current();
    let rolled_back = publisher.rollback(generation, monitor).map_err(|error| {
        let is_poisoned = publisher.is_poisoned();
        error_after(publisher.directory(), is_poisoned, before, error.into())
    });
    let commit = rolled_back?.commit;
    Ok((commit, publisher.live_tables().count()))
}

/// The commits of a directory whose meta files are kept, newest first, as dicts with `commit`,
/// `kind`, `is_current`, `is_complete` (a rollback to it is possible), `time` (seconds since 1970),
/// `tables`, `entries` and `bytes`.
#[pyfunction]
pub(crate) fn log<'py>(
    py: Python<'py>,
    path: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyList>, Error> {
    let path = directory_of(path)?;
    let records = py.detach(|| list_commits(&path))?;
    let list = PyList::empty(py);
    for record in records {
        let fact = PyDict::new(py);
        fact.set_item("commit", record.sequence.0)?;
        fact.set_item("kind", record.kind.map(kind_name))?;
        fact.set_item("is_current", record.is_current)?;
        fact.set_item("is_complete", record.is_complete)?;
        fact.set_item("time", record.time.map(|time| time.as_secs_f64()))?;
        fact.set_item("tables", record.tables)?;
        fact.set_item("entries", record.entries)?;
        fact.set_item("bytes", record.bytes)?;
        list.append(fact)?;
    }
    Ok(list)
}

/// Removes the objects that no commit of a bucket needs, except those younger than `grace` seconds,
/// which must be longer than the longest push and pull. Returns how many were removed.
#[pyfunction]
#[pyo3(signature = (url, *, grace = 86400.0, keep_generations = 1))]
pub(crate) fn gc(
    py: Python<'_>,
    url: &Bound<'_, PyAny>,
    grace: f64,
    keep_generations: usize,
) -> Result<usize, Error> {
    let store = place_of(&path_of(url)?)?.store()?;
    let grace = Duration::try_from_secs_f64(grace)
        .map_err(|_| Error::usage(format!("grace={grace} is no number of seconds")))?;
    let options = GcOptions::default().grace(grace).keep_generations(keep_generations);
    let report = Observer::new(None)?
        .run(py, |monitor| Ok(block_on(collect_garbage(&store, &options, monitor))?))?;
    Ok(report.removed.len())
}

/// The hash of a key, by which tables are sorted: XXH3-64 of its bytes.
#[pyfunction]
#[pyo3(name = "key_hash")]
pub(crate) fn key_hash(key: &Bound<'_, PyAny>) -> Result<u64, Error> {
    Ok(hash_key(&bytes_of(key)?))
}

/// The shard of `count` shards that has a key: the number `i` of `shard=(i, count)`.
#[pyfunction]
#[pyo3(name = "key_shard")]
pub(crate) fn key_shard(key: &Bound<'_, PyAny>, count: u32) -> Result<usize, Error> {
    if count == 0 {
        return Err(Error::usage("there is one shard at least"));
    }
    Ok(ShardMap::by_hash(count).shard_of(bytes_of(key)?))
}

/// Runs the command `sst` with these arguments, of which the first is the name of the program, and
/// returns its exit code. It prints to the standard output and error of the process.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| sst_cli::run(arguments))
}
