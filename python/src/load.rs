//! `load`: records of Python and of Arrow, in any order, become one commit.

use std::mem;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use sst_amqf::QuotientFilter;
use sst_format::monitor::Monitor;
use sst_object_store::{Place, Store};
use sst_writer::bulk::{BulkMode, BulkSummary, Duplicates, RemoteLoad, RemoteLoader};
use sst_writer::table::Compression;
use sst_writer::{BulkLoader, BulkOptions, Publisher, WriterOptions};

use crate::blocking::Observer;
use crate::bucket_commit::{BucketCommit, WrittenObjects};
use crate::errors::Error;
use crate::fork::Epoch;
use crate::place::{path_of, place_of};
use crate::record_source::{Nulls, RecordSource, put_all};
use crate::reports::PyCertificate;
use crate::target::{Mode, PublishPlan, Published, error_after, publisher_of};

/// Tables that a load makes where fewer would do, for as many threads to write them: those of most
/// machines. It does not depend on the machine, so that the files do not.
const TABLES: usize = 8;

/// Threads that put records, at most: more do not help while one thread makes them.
const MAX_PUT_THREADS: usize = 4;

/// What a load has done.
#[pyclass(frozen, module = "sst_files", name = "LoadReport", get_all)]
pub(crate) struct LoadReport {
    /// Number of the commit.
    commit: u32,
    /// Records that were put.
    records: u64,
    /// Entries of the new tables.
    entries: u64,
    /// How many of these delete their key.
    tombstones: u64,
    /// Records that were left out in favour of another of their key.
    duplicates: u64,
    /// New tables.
    tables: u64,
    /// New blob files.
    blobs: u64,
    /// Bytes of tables and blob files.
    file_bytes: u64,
    /// Bytes that did not fit into the budget, and were written to temporary files.
    spilled_bytes: u64,
    /// The certificate, if it was asked for.
    certificate: Option<PyCertificate>,
}

#[pymethods]
impl LoadReport {
    fn __repr__(&self) -> String {
        let Self { commit, records, entries, tables, file_bytes, certificate, .. } = self;
        let certificate = certificate.as_ref().map(|it| format!(", certificate={}", it.__repr__()));
        format!(
            "LoadReport(commit={commit}, records={records}, entries={entries}, tables={tables}, \
             file_bytes={file_bytes}{})",
            certificate.unwrap_or_default()
        )
    }
}

pub(crate) fn compression_of(text: &str) -> Result<Compression, Error> {
    match text {
        "lz4" => Ok(Compression::Lz4),
        "none" => Ok(Compression::None),
        _ => Err(Error::usage(format!("compression={text:?} is neither \"lz4\" nor \"none\""))),
    }
}

pub(crate) fn duplicates_of(text: &str) -> Result<Duplicates, Error> {
    match text {
        "newest" => Ok(Duplicates::Newest),
        "keep" => Ok(Duplicates::Keep),
        "error" => Ok(Duplicates::Error),
        _ => {
            let text = format!("duplicates={text:?} is none of \"newest\", \"keep\", \"error\"");
            Err(Error::usage(text))
        }
    }
}

/// Options of tables: with filters, as `sst` writes them.
pub(crate) fn writer_options(compression: &str) -> Result<WriterOptions, Error> {
    let options = WriterOptions::default().filter(QuotientFilter::default());
    Ok(options.compression(compression_of(compression)?))
}

/// Loads `data` into the directory or bucket `path` as one commit, and returns a `LoadReport`.
///
/// `data` is one of:
///
/// - anything with `__arrow_c_stream__` or `__arrow_c_array__`: a frame of polars, a relation of
///   duckdb, a table or a batch of pyarrow. `key` and `value` name its columns, or count them from
///   0; with two columns no names are needed.
/// - a frame of pandas, likewise; the index is a column that is chosen by its name. The index of a
///   series, and of a frame with one column, is the key.
/// - a mapping of keys to values, or anything that gives pairs of them, such as a generator.
/// - anything that gives mappings, such as `csv.DictReader`; `key` and `value` name their items.
///
/// Keys and values are bytes, text (its UTF-8) or integers (their decimal digits). `nulls` tells
/// what a null (`None`) as the value of a record does: `"error"`, `"skip"` the record, or
/// `"delete"` the key. A null as a key is an `EntryError`.
///
/// `mode` is `"replace"` (all entries of the family) or `"append"`. `duplicates` tells which
/// records of a key count: the `"newest"`, which is the last one of the input, or `"keep"` all, or
/// `"error"`. The input may be larger than memory: a load takes about `memory_budget` bytes, and
/// spills to `temp_dir`: by default the directory itself, or that of the system if the tables go to
/// a bucket, to which they are uploaded while they are written. `certify` reads all files back from
/// the device before the commit is visible, and stores a digest of the entries. `keep_generations`
/// is how many earlier commits keep their files, for `rollback`.
///
/// `progress` is a function of one `Progress`, a bar of tqdm, or `True` for a new one. Ctrl-C ends
/// a load, and an exception of `progress` or of `data` too: nothing of it stays then. One that
/// comes while the commit becomes visible may be too late, and has a note that says so.
///
/// Raises `LockedError` if another writer is at work, `DuplicateKeyError`, `EntryError`,
/// `UsageError`, `FileError`; `CommitLiveError` if the commit is visible, but a later step failed.
#[pyfunction]
#[pyo3(signature = (path, data, *, key = None, value = None, mode = "replace", family = 0,
    duplicates = "newest", nulls = "error", memory_budget = 268_435_456, threads = None,
    temp_dir = None, compression = "lz4", certify = false, keep_generations = 1,
    blob_threshold = None, progress = None))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn load(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
    key: Option<&Bound<'_, PyAny>>,
    value: Option<&Bound<'_, PyAny>>,
    mode: &str,
    family: u32,
    duplicates: &str,
    nulls: &str,
    memory_budget: usize,
    threads: Option<usize>,
    temp_dir: Option<PathBuf>,
    compression: &str,
    certify: bool,
    keep_generations: usize,
    blob_threshold: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<LoadReport, Error> {
    let path = path_of(path)?;
    let plan = PublishPlan { family, mode: Mode::of(mode)?, certify, keep_generations };
    let mut options = BulkOptions::default()
        .memory_budget(memory_budget)
        .duplicates(duplicates_of(duplicates)?)
        .mode(if plan.mode == Mode::Append { BulkMode::Append } else { BulkMode::Replace })
        .family(family)
        .min_tables(TABLES)
        .writer(writer_options(compression)?);
    match threads {
        Some(0) => return Err(Error::usage("a load has one thread at least")),
        Some(threads) => options = options.threads(threads),
        None => {}
    }
    if let Some(directory) = &temp_dir {
        options = options.temp_dir(directory);
    }
    if let Some(bytes) = blob_threshold {
        options = options.blob_threshold(bytes);
    }
    let nulls = Nulls::of(nulls)?;
    let source = RecordSource::new(data, key, value, nulls)?;
    let observer = Observer::new(progress)?;
    match place_of(&path)? {
        Place::Directory(directory) => {
            load_into_directory(py, &directory, plan, source, options, &observer)
        }
        Place::Bucket(store) => load_into_bucket(py, &store, plan, source, options, &observer),
    }
}

impl LoadReport {
    fn new(summary: &BulkSummary, published: &Published, family: u32) -> Self {
        Self {
            commit: published.commit.0,
            records: summary.records,
            entries: summary.entries,
            tombstones: summary.tombstones,
            duplicates: summary.duplicates,
            tables: summary.tables,
            blobs: summary.blobs,
            file_bytes: summary.file_bytes,
            spilled_bytes: summary.spilled_bytes,
            certificate: published.certificate(family),
        }
    }
}

fn load_into_directory(
    py: Python<'_>,
    directory: &Path,
    plan: PublishPlan,
    source: RecordSource,
    options: BulkOptions,
    observer: &Observer,
) -> Result<LoadReport, Error> {
    let mut publisher = py.detach(|| publisher_of(directory, plan))?;
    let (before, epoch) = (publisher.current(), Epoch::now());
    match write_to(py, &mut publisher, plan.certify, source, options, observer) {
        Ok(mut summary) => {
            py.detach(|| drop(publisher));
            let certificates = mem::take(&mut summary.certificates);
            let published = Published { commit: summary.commit, certificates };
            Ok(LoadReport::new(&summary, &published, plan.family))
        }
        // The files and the lock are those of the process that this one was forked from.
        Err(error) if !epoch.is_now() => {
            mem::forget(publisher);
            Err(error)
        }
        Err(error) => Err(error_after(directory, publisher.is_poisoned(), before, error)),
    }
}

fn write_to(
    py: Python<'_>,
    publisher: &mut Publisher,
    certify: bool,
    source: RecordSource,
    options: BulkOptions,
    observer: &Observer,
) -> Result<BulkSummary, Error> {
    let threads = options.threads.min(MAX_PUT_THREADS);
    let loader = BulkLoader::new(publisher, options, &observer.monitor)?;
    let epoch = Epoch::now();
    let put = put_all(py, &|| loader.handle(0), source, threads, observer);
    if !epoch.is_now() {
        mem::forget(loader);
        return put.and(Err(Error::Forked("load")));
    }
    put?;
    observer.run(py, |monitor| finish(loader, certify, monitor))
}

fn finish(loader: BulkLoader<'_>, certify: bool, monitor: &Monitor) -> Result<BulkSummary, Error> {
    let mut prepared = loader.prepare()?;
    if certify {
        sst_merge::certify(prepared.commit(), monitor)?;
    }
    Ok(prepared.publish()?)
}

fn load_into_bucket(
    py: Python<'_>,
    store: &Store,
    plan: PublishPlan,
    source: RecordSource,
    options: BulkOptions,
    observer: &Observer,
) -> Result<LoadReport, Error> {
    let commit = observer.run(py, |_| BucketCommit::begin(store, plan))?;
    let epoch = Epoch::now();
    match upload_to(py, &commit, source, options, observer) {
        Ok(RemoteLoad { summary, tables, blobs, unused, .. }) => {
            let written = WrittenObjects { tables, blobs, unused };
            let published = observer.run(py, |monitor| commit.publish(written, monitor))?;
            Ok(LoadReport::new(&summary, &published, plan.family))
        }
        Err(error) if !epoch.is_now() => {
            commit.forget();
            Err(error)
        }
        Err(error) => {
            py.detach(|| commit.discard());
            Err(error)
        }
    }
}

/// Sends all records to the bucket of a commit, in tables and blobs.
fn upload_to(
    py: Python<'_>,
    commit: &BucketCommit,
    source: RecordSource,
    options: BulkOptions,
    observer: &Observer,
) -> Result<RemoteLoad, Error> {
    let threads = options.threads.min(MAX_PUT_THREADS);
    let (output, compression) = (commit.output(), Compression::default());
    let loader = RemoteLoader::new(output, options, compression, &observer.monitor)?;
    let epoch = Epoch::now();
    let put = put_all(py, &|| loader.handle(0), source, threads, observer);
    if !epoch.is_now() {
        mem::forget(loader);
        return put.and(Err(Error::Forked("load")));
    }
    put?;
    observer.run(py, |_| Ok(loader.finish()?))
}
