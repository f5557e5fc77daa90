//! How commits are published.

use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::content_digest::FamilyCertificate;
use sst_reader::Catalog;
use sst_writer::{Publisher, PublisherOptions};

use crate::errors::Error;
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

/// The publisher of a directory, which it locks.
pub(crate) fn publisher_of(directory: &Path, plan: PublishPlan) -> Result<Publisher, Error> {
    let options =
        PublisherOptions::default().keep_generations(plan.keep_generations).digest(plan.certify);
    if let Some(parent) = directory.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
    }
    Ok(Publisher::open(directory, options)?)
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
