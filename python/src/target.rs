//! Directories and buckets that are published to.

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_format::content_digest::FamilyCertificate;
use sst_format::monitor::Monitor;
use sst_object_store::{
    AdoptOptions, Certify, ObjectPublisher, ObjectPublisherOptions, Place, Store, StoreError,
    block_on,
};
use sst_reader::Catalog;
use sst_writer::{Publisher, PublisherOptions};
use tempfile::TempDir;

use crate::errors::Error;
use crate::place::place_of;
use crate::reports::PyCertificate;

/// Whether a commit replaces what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Replace,
    Append,
}

impl Mode {
    pub(crate) fn of(text: &str) -> Result<Self, Error> {
        match text {
            "replace" => Ok(Self::Replace),
            "append" => Ok(Self::Append),
            _ => Err(Error::usage(format!("mode={text:?} is neither \"replace\" nor \"append\""))),
        }
    }
}

/// How a commit is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishPlan {
    pub(crate) family: u32,
    pub(crate) mode: Mode,
    pub(crate) certify: bool,
    pub(crate) keep_generations: usize,
}

/// A commit that is live.
pub(crate) struct Published {
    pub(crate) commit: SequenceNumber,
    pub(crate) certificates: Vec<FamilyCertificate>,
}

impl Published {
    /// The certificate of a family.
    pub(crate) fn certificate(&self, family: u32) -> Option<PyCertificate> {
        let found = self.certificates.iter().find(|it| it.family == family);
        found.map(|found| PyCertificate::new(family, &found.content))
    }
}

/// Where a commit is published: a directory, or a bucket by way of a temporary directory.
pub(crate) struct Target {
    directory: PathBuf,
    bucket: Option<(Store, TempDir)>,
    plan: PublishPlan,
}

impl Target {
    /// `temp_dir` is where the tables of a bucket are written first.
    pub(crate) fn new(
        path: &Path,
        plan: PublishPlan,
        temp_dir: Option<&Path>,
    ) -> Result<Self, Error> {
        match place_of(path)? {
            Place::Directory(directory) => Ok(Self { directory, bucket: None, plan }),
            Place::Bucket(store) => {
                // Checked before any work is done.
                ObjectPublisher::new(&store, ObjectPublisherOptions::default())?;
                let parent = temp_dir.map_or_else(std::env::temp_dir, Path::to_owned);
                let made = tempfile::Builder::new().prefix(".sst-bucket-").tempdir_in(&parent);
                let made =
                    made.map_err(|error| Error::io("create a directory in", &parent, error))?;
                Ok(Self { directory: made.path().join("db"), bucket: Some((store, made)), plan })
            }
        }
    }

    /// The publisher of the directory that is written to, which it locks.
    pub(crate) fn publisher(&self) -> Result<Publisher, Error> {
        let options = match self.bucket {
            Some(_) => PublisherOptions::default(),
            None => PublisherOptions::default()
                .keep_generations(self.plan.keep_generations)
                .digest(self.plan.certify),
        };
        if let Some(parent) = self.directory.parent().filter(|it| !it.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        }
        Ok(Publisher::open(&self.directory, options)?)
    }

    /// Whether the commit to the directory is to be read back and certified.
    pub(crate) const fn certifies_here(&self) -> bool {
        self.plan.certify && self.bucket.is_none()
    }

    /// Whether what is there is replaced.
    pub(crate) fn replaces(&self) -> bool {
        self.plan.mode == Mode::Replace
    }

    pub(crate) const fn family(&self) -> u32 {
        self.plan.family
    }

    /// Makes a commit of the directory one of the bucket, if there is one.
    pub(crate) fn finish(self, here: Published, monitor: &Monitor) -> Result<Published, Error> {
        let Self { directory, bucket, plan } = self;
        let Some((store, staged)) = bucket else { return Ok(here) };
        let certify = if plan.certify { Certify::Always } else { Certify::No };
        let options = ObjectPublisherOptions::default().certify(certify);
        let place = Place::Directory(directory);
        let published = block_on(async {
            let mut publisher = ObjectPublisher::new(&store, options)?;
            let mut commit = publisher.begin(plan.family).await?;
            if plan.mode == Mode::Replace {
                commit.replace_all();
            }
            commit.adopt(&place, &AdoptOptions::default(), monitor).await?;
            let info = commit.publish(monitor).await?;
            // The commit is live. A claim that stays costs nothing but time.
            _ = publisher.close().await;
            Ok::<_, StoreError>(info)
        })?;
        drop(staged);
        Ok(Published { commit: published.commit, certificates: published.certificates })
    }
}

/// The error of an operation that was to make a commit after `before`: if another commit is live
/// all the same, the error says so. For example, syncing the directory may fail after `CURRENT` was
/// replaced.
pub(crate) fn error_after(
    directory: &Path,
    is_poisoned: bool,
    before: Option<SequenceNumber>,
    error: Error,
) -> Error {
    // A publisher that is not poisoned has failed before it replaced `CURRENT`.
    if !is_poisoned {
        return error;
    }
    match Catalog::read(directory) {
        Ok(catalog) if before != Some(catalog.commit) => {
            Error::Live { commit: catalog.commit.0, source: Box::new(error) }
        }
        // If `CURRENT` cannot be read either, no commit is known to be live.
        _ => error,
    }
}
