//! The driver's part of a job: it begins it, publishes what its tasks report, and ends it.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest};
use sst_format::filter::FilterBytes;
use sst_format::monitor::Monitor;
use sst_object_store::{
    ObjectPublisher, ObjectPublisherOptions, Place, Store, StoreError, block_on,
};
use sst_writer::publish::{FragmentOverlap, JobId, TaskReport, TaskWriter};
use sst_writer::{PublishError, Publisher, PublisherOptions};

use super::base::{is_newest, newest};
use crate::blocking::Observer;
use crate::commit_report::CommitReport;
use crate::errors::Error;
use crate::place::{path_of, place_of};
use crate::target::{Mode, Published, error_after};

/// Begins a job that writes to the directory or bucket `path`. Returns its number, which tasks are
/// given. `job` is the number of a job that was begun before and may have died: its leftovers are
/// removed, and tasks of it that still run fail.
#[pyfunction]
#[pyo3(signature = (path, *, job = None))]
pub(crate) fn spark_begin_job(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    job: Option<u32>,
) -> Result<u32, Error> {
    let place = place_of(&path_of(path)?)?;
    Observer::new(None)?.run(py, |_| {
        if let Place::Directory(directory) = &place {
            TaskWriter::prepare_directory(directory)?;
        }
        if let Some(job) = job {
            end_job(&place, JobId(job))?;
        }
        Ok(job.unwrap_or_else(|| JobId::random().0))
    })
}

/// The number of the newest commit of a place, and how many entries the tables of a family have in
/// it; `None` if there is no commit.
#[pyfunction]
#[pyo3(signature = (path, family = 0))]
pub(crate) fn spark_newest(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    family: u32,
) -> Result<Option<(u32, u64)>, Error> {
    let place = place_of(&path_of(path)?)?;
    py.detach(|| {
        let Some(catalog) = newest(&place)? else { return Ok(None) };
        let tables = catalog.tables.iter().filter(|table| table.family == family);
        // A directory of another implementation does not state how many entries there are.
        let entries = tables.map(|table| table.entry_count().unwrap_or(u64::from(u32::MAX)));
        Ok(Some((catalog.commit.0, entries.sum())))
    })
}

/// What a task has reported, without the filters of its tables: what `spark_range_digest` needs.
#[pyfunction]
pub(crate) fn spark_outline<'py>(
    py: Python<'py>,
    report: PyBackedBytes,
) -> Result<Bound<'py, PyBytes>, Error> {
    let mut report = TaskReport::from_owner(report)?;
    for table in &mut report.tables {
        table.meta.filter = FilterBytes::new([]);
    }
    Ok(PyBytes::new(py, &report.to_bytes()?))
}

/// Removes what the tasks of a job have written and no commit names, and ends their claims. Returns
/// what could not be removed. After a job has failed, or been abandoned.
#[pyfunction]
pub(crate) fn spark_end_job(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    job: u32,
) -> Result<Vec<String>, Error> {
    let place = place_of(&path_of(path)?)?;
    Observer::new(None)?.run(py, |_| end_job(&place, JobId(job)))
}

fn end_job(place: &Place, job: JobId) -> Result<Vec<String>, Error> {
    match place {
        Place::Directory(directory) => {
            let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
            let left = publisher.end_job(job)?;
            Ok(left.iter().map(ToString::to_string).collect())
        }
        Place::Bucket(store) => block_on(async {
            let options = ObjectPublisherOptions::default();
            let mut publisher = ObjectPublisher::new(store, options)?;
            publisher.end_job(job).await?;
            publisher.close().await?;
            Ok::<_, StoreError>(Vec::new())
        })
        .map_err(Error::from),
    }
}

/// What is published.
struct JobCommit {
    job: JobId,
    reports: Vec<TaskReport>,
    family: u32,
    mode: Mode,
    certify: bool,
    /// The digest of all live entries, if the caller has it: for an increment.
    content: Option<ContentDigest>,
    /// The commit that the digest, or the caller's reading, is on top of.
    base: Option<u32>,
    is_base_checked: bool,
    keep_generations: usize,
}

/// Publishes what the winning tasks of job `job` report as one commit of the place `path`, and ends
/// the job. Returns a `CommitReport`, and what could not be removed.
///
/// With `certify` the digests of the tasks become the certificate; an increment needs `contents`,
/// the digests of each range of what will be live on top of commit `base`. With `check_base` it is
/// a `ConflictError` if another commit than `base` is the newest.
///
/// The filters stay in the bytes of Python's `reports`: all of a large commit take gigabytes.
#[pyfunction]
#[pyo3(signature = (path, reports, *, job, mode, family = 0, certify = false, contents = None,
    base = None, check_base = false, keep_generations = 1))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn spark_commit(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    reports: Vec<PyBackedBytes>,
    job: u32,
    mode: &str,
    family: u32,
    certify: bool,
    contents: Option<Vec<Vec<u8>>>,
    base: Option<u32>,
    check_base: bool,
    keep_generations: usize,
) -> Result<(CommitReport, Vec<String>), Error> {
    let place = place_of(&path_of(path)?)?;
    let mode = Mode::of(mode)?;
    let content = contents.map(|contents| sum_of(&contents)).transpose()?;
    Observer::new(None)?.run(py, |monitor| {
        let decoded = reports.into_iter().map(TaskReport::from_owner);
        let commit = JobCommit {
            job: JobId(job),
            reports: decoded.collect::<Result<_, _>>()?,
            family,
            mode,
            certify,
            content,
            base,
            is_base_checked: check_base,
            keep_generations,
        };
        let (published, left) = match &place {
            Place::Directory(directory) => commit.publish_in_directory(&place, directory, monitor),
            Place::Bucket(store) => commit.publish_in_bucket(&place, store, monitor),
        }?;
        Ok((commit.report(&published), left))
    })
}

/// Each task writes the rows of one range that it gets, and none sees those of another: that two of
/// them have rows of the same hashes is found here.
fn unprepared(error: PublishError) -> Error {
    match error {
        PublishError::TasksOverlap { .. } => Error::usage(
            "two tasks have written rows of the same hashes: only rows that \
             `sst_files.spark.prepare` has divided are written",
        ),
        error => error.into(),
    }
}

/// The sum of digests of disjoint ranges.
fn sum_of(contents: &[Vec<u8>]) -> Result<ContentDigest, Error> {
    let mut sum = ContentDigest::default();
    for bytes in contents {
        let bytes: &[u8; CONTENT_DIGEST_LEN] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| Error::usage(format!("a digest has {CONTENT_DIGEST_LEN} bytes")))?;
        sum.combine(&ContentDigest::from_bytes(bytes));
    }
    Ok(sum)
}

impl JobCommit {
    fn publish_in_directory(
        &self,
        place: &Place,
        directory: &Path,
        monitor: &Monitor,
    ) -> Result<(Published, Vec<String>), Error> {
        let options = PublisherOptions::default().keep_generations(self.keep_generations);
        let mut publisher = Publisher::open(directory, options)?;
        let before = publisher.current();
        if self.is_base_checked {
            is_newest(place, self.base, before)?;
        }
        let (published, mut left) = match self.publish_with(&mut publisher, monitor) {
            Ok(published) => published,
            Err(error) => {
                return Err(error_after(directory, publisher.is_poisoned(), before, error));
            }
        };
        // The commit is live: what stays is told, and removed by a later publisher.
        match publisher.end_job(self.job) {
            Ok(more) => left.extend(more.iter().map(ToString::to_string)),
            Err(error) => left.push(error.to_string()),
        }
        Ok((published, left))
    }

    fn publish_with(
        &self,
        publisher: &mut Publisher,
        monitor: &Monitor,
    ) -> Result<(Published, Vec<String>), Error> {
        let mut commit = publisher.begin_family(self.family);
        if self.mode == Mode::Replace {
            commit.replace_all();
        }
        for report in &self.reports {
            commit.add_task(report, FragmentOverlap::Refuse).map_err(unprepared)?;
        }
        let mut prepared = commit.prepare()?;
        if let Some(content) = self.content {
            prepared.certify(content);
        } else if self.certify {
            self.check_certified(prepared.certify_tasks())?;
        }
        let info = prepared.publish(monitor)?;
        let left = info.not_removed.iter().map(ToString::to_string).collect();
        let published = Published { commit: info.commit, certificates: info.certificates };
        Ok((published, left))
    }

    fn publish_in_bucket(
        &self,
        place: &Place,
        store: &Store,
        monitor: &Monitor,
    ) -> Result<(Published, Vec<String>), Error> {
        // A digest of all live entries is that of one base.
        let options = ObjectPublisherOptions::default().rebase(!self.is_base_checked);
        block_on(async {
            let mut publisher = ObjectPublisher::new(store, options)?;
            let published = self.publish_objects(place, &mut publisher, monitor).await;
            let mut left = Vec::new();
            if published.is_ok() {
                // The commit is live: what stays is told, and removed as garbage later.
                if let Err(error) = publisher.end_job(self.job).await {
                    left.push(error.to_string());
                }
            }
            if let Err(error) = publisher.close().await {
                left.push(error.to_string());
            }
            Ok(published.map(|published| (published, left)))
        })?
    }

    async fn publish_objects(
        &self,
        place: &Place,
        publisher: &mut ObjectPublisher,
        monitor: &Monitor,
    ) -> Result<Published, Error> {
        let mut commit = publisher.begin(self.family).await?;
        if self.is_base_checked {
            is_newest(place, self.base, commit.base())?;
        }
        if self.mode == Mode::Replace {
            commit.replace_all();
        }
        for report in &self.reports {
            let added = commit.add_task(report, FragmentOverlap::Refuse).await;
            added.map_err(|error| match error {
                StoreError::Directory(error) => unprepared(error),
                error => error.into(),
            })?;
        }
        if let Some(content) = self.content {
            commit.certify(content);
        } else if self.certify {
            self.check_certified(commit.certify_tasks())?;
        }
        let info = commit.publish(monitor).await?;
        Ok(Published { commit: info.commit, certificates: info.certificates })
    }

    /// Fails if the digests of the tasks did not make a certificate.
    fn check_certified(&self, is_certified: bool) -> Result<(), Error> {
        match is_certified {
            true => Ok(()),
            false => Err(Error::usage(
                "an increment is certified by `write_set`, which reads what it is added to; the \
                 data source alone certifies with mode(\"overwrite\") only",
            )),
        }
    }

    fn report(&self, published: &Published) -> CommitReport {
        let tables = || self.reports.iter().flat_map(|report| &report.tables);
        CommitReport {
            commit: Some(published.commit.0),
            // The tables of a task are protected, or its report could not be read.
            entries: tables().filter_map(|it| Some(it.meta.protection.as_ref()?.entry_count)).sum(),
            tables: tables().count() as u64,
            bytes: tables().map(|it| it.meta.file_size).sum(),
            certificate: published.certificate(self.family),
            ..CommitReport::nothing()
        }
    }
}
