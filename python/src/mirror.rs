//! Commits that are copied between directories and buckets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sst_format::identity::CommitIdentity;
use sst_format::monitor::Monitor;
use sst_object_store::{
    MirrorOptions, MirrorReport, RemoteCommit, ShardNumber, StoreError, block_on,
    pull as pull_into, push as push_to,
};
use sst_writer::PublishError;

use crate::blocking::Observer;
use crate::errors::Error;
use crate::place::{path_of, place_of, shard_of, store_of, url_of};

/// How long a pull into a cache waits for another process that pulls into the same one.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// A directory that is filled from a bucket.
#[derive(Clone, Debug)]
pub(crate) struct CachedBucket {
    pub(crate) url: String,
    pub(crate) directory: PathBuf,
    pub(crate) shard: Option<ShardNumber>,
    /// The commit that was pulled last. Without a lock, which a fork could leave locked for ever.
    pulled: Arc<ArcSwapOption<CommitIdentity>>,
}

impl CachedBucket {
    pub(crate) fn new(url: String, directory: PathBuf, shard: Option<ShardNumber>) -> Self {
        Self { url, directory, shard, pulled: Arc::default() }
    }

    /// Pulls the newest commit of the bucket, every byte verified, unless it was pulled last, which
    /// takes two small requests to find. Waits while another process does the same.
    pub(crate) fn pull(&self, monitor: &Monitor) -> Result<(), Error> {
        let started = Instant::now();
        let store = store_of(&self.url)?;
        if let Some(pulled) = self.pulled.load_full()
            && block_on(RemoteCommit::newest_identity(&store))? == Some(*pulled)
        {
            return Ok(());
        }
        // Sets that are open keep their maps; a walk may still open a table of the commit before.
        let options = MirrorOptions::default().shard(self.shard).keep_generations(1);
        loop {
            let pulled = block_on(pull_into(&store, &self.directory, &options, monitor));
            match pulled {
                Err(StoreError::Directory(PublishError::Locked { .. }))
                    if started.elapsed() < LOCK_PATIENCE && !monitor.token().is_cancelled() =>
                {
                    thread::sleep(LOCK_POLL);
                }
                Err(error) => return Err(error.into()),
                Ok(report) => {
                    self.pulled.store(Some(Arc::new(report.commit)));
                    return Ok(());
                }
            }
        }
    }
}

/// What a push or pull has copied.
#[pyclass(frozen, module = "sst_files", name = "MirrorReport", get_all)]
pub(crate) struct PyMirrorReport {
    /// Number of the commit that the target shows now.
    commit: u32,
    /// Whether the target has shown another one before.
    changed: bool,
    /// Files that were copied.
    copied_files: u64,
    /// Their bytes.
    copied_bytes: u64,
    /// Files that the target had before.
    kept_files: u64,
}

#[pymethods]
impl PyMirrorReport {
    fn __repr__(&self) -> String {
        format!(
            "MirrorReport(commit={}, changed={}, copied_files={}, copied_bytes={}, kept_files={})",
            self.commit,
            if self.changed { "True" } else { "False" },
            self.copied_files,
            self.copied_bytes,
            self.kept_files
        )
    }
}

impl From<MirrorReport> for PyMirrorReport {
    fn from(report: MirrorReport) -> Self {
        Self {
            commit: report.commit.sequence().0,
            changed: report.is_changed(),
            copied_files: report.copied_files,
            copied_bytes: report.copied_bytes,
            kept_files: report.kept_files,
        }
    }
}

fn options(replace: bool, rate: Option<u64>) -> MirrorOptions {
    MirrorOptions::default().replace(replace).bytes_per_second(rate)
}

/// Copies the newest commit of the directory `path` to `target`, a URL or a path. Files that the
/// target has are not copied again; every byte is verified on its way; readers of the target see
/// the commit before or the new one. `replace` gives up the commit of a target with another
/// history; `rate` limits the bytes for each second.
#[pyfunction]
#[pyo3(signature = (path, target, *, replace = false, rate = None, progress = None))]
pub(crate) fn push(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
    replace: bool,
    rate: Option<u64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<PyMirrorReport, Error> {
    let (path, target) = (path_of(path)?, place_of(&path_of(target)?)?);
    let options = options(replace, rate);
    let observer = Observer::new(progress)?;
    let report =
        observer.run(py, |monitor| Ok(block_on(push_to(&path, &target, &options, monitor))?))?;
    Ok(report.into())
}

/// Copies the newest commit of `source`, a URL or a path, into the directory `path`, as `push` does
/// in the other direction. `shard=(i, n)` takes only the range of hashes of shard `i` of `n`;
/// `keep` is how many earlier commits keep their files.
#[pyfunction]
#[pyo3(signature = (source, path, *, shard = None, keep = 1, replace = false, rate = None, progress = None))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn pull(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    path: &Bound<'_, PyAny>,
    shard: Option<(u32, u32)>,
    keep: usize,
    replace: bool,
    rate: Option<u64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<PyMirrorReport, Error> {
    let (source, path) = (path_of(source)?, path_of(path)?);
    if url_of(&path).is_some() {
        return Err(Error::usage("a pull goes into a directory; push goes into a bucket"));
    }
    let source = place_of(&source)?.store()?;
    let options = options(replace, rate).shard(shard_of(shard)?).keep_generations(keep);
    let observer = Observer::new(progress)?;
    let report =
        observer.run(py, |monitor| Ok(block_on(pull_into(&source, &path, &options, monitor))?))?;
    Ok(report.into())
}

/// The directory of a bucket in the cache: its URL in readable form, a hash of it, and the shard.
pub(crate) fn cache_directory(parent: &Path, url: &str, shard: Option<ShardNumber>) -> PathBuf {
    let readable: String = url
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(80)
        .collect();
    let hash = sst_reader::hash_key(url.trim_end_matches('/').as_bytes());
    let shard =
        shard.map_or_else(String::new, |it| format!(".shard-{}-of-{}", it.index(), it.count()));
    parent.join(format!("{readable}.{hash:016x}{shard}"))
}
