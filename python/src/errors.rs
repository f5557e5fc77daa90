//! Errors of the crates as exceptions of Python.
//!
//! The classes are defined in `sst_files/_errors.py`. [`Error`] is what all functions here return;
//! it becomes an exception when it reaches Python.

use std::io;
use std::path::Path;

use arrow_schema::ArrowError;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sst_merge::MergeError;
use sst_object_store::StoreError;
use sst_reader::ReadError;
use sst_writer::file::FileError;
use sst_writer::{BulkError, PublishError, WriteError};

/// Every way in which a call from Python can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: String, source: io::Error },
    /// An exception that Python code has raised.
    #[error("{0}")]
    Python(#[from] PyErr),
    /// Arguments that make no sense.
    #[error("{0}")]
    Usage(String),
    /// An argument of the wrong type.
    #[error("{0}")]
    Type(String),
    #[error("the key is not there")]
    MissingKey(Vec<u8>),
    #[error("entry {position}: {reason}")]
    Entry { position: u64, reason: &'static str },
    #[error("this {0} is closed")]
    Closed(&'static str),
    #[error("this {0} belongs to the process that this one was forked from")]
    Forked(&'static str),
    #[error("commit {commit} is live, but a later step failed; do not repeat it")]
    Live { commit: u32, source: Box<Error> },
    /// Another commit is the newest one than the one that was read.
    #[error("{place}: commit {found:?} is the newest, not {expected:?}: another writer was faster")]
    Conflict { place: String, expected: Option<u32>, found: Option<u32> },
    /// Another thread of the same operation has the reason.
    #[error("the operation was cancelled")]
    Stopped,
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.display().to_string(), source }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

/// The text of an error and of its causes, as `sst` prints them.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The class of an error, and the attributes of the exception.
struct Exception {
    class: &'static str,
    file: Option<String>,
    block: Option<u16>,
    cause: Option<String>,
    number: Option<(&'static str, u64)>,
    second: Option<(&'static str, u64)>,
    errno: Option<i32>,
}

impl Exception {
    const fn new(class: &'static str) -> Self {
        let (file, cause, number, second) = (None, None, None, None);
        Self { class, file, block: None, cause, number, second, errno: None }
    }

    fn file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    fn path(self, path: &Path) -> Self {
        self.file(path.display().to_string())
    }

    fn number(mut self, name: &'static str, number: impl Into<u64>) -> Self {
        self.number = Some((name, number.into()));
        self
    }

    fn io(error: &io::Error) -> Self {
        // A bucket to which files are streamed gives its errors as those of files.
        if let Some(error) = error.get_ref().and_then(|it| it.downcast_ref::<StoreError>()) {
            return of_store(error);
        }
        let class = match error.kind() {
            io::ErrorKind::NotFound => "NotFoundError",
            io::ErrorKind::PermissionDenied => "PermissionDeniedError",
            io::ErrorKind::OutOfMemory => "OutOfMemoryError",
            _ => "FileError",
        };
        Self { errno: error.raw_os_error(), ..Self::new(class) }
    }
}

fn of_read(error: &ReadError) -> Exception {
    let file = error.file().path();
    let exception = match error {
        ReadError::Io { source, .. } => Exception::io(source),
        ReadError::Corrupt { .. } if error.is_unknown_version() => {
            Exception::new("UnsupportedError")
        }
        ReadError::Corrupt { block, cause, .. } => Exception {
            block: block.map(|block| block.0),
            cause: Some(cause.to_string()),
            ..Exception::new("CorruptionError")
        },
        ReadError::OutOfMemory { .. } => Exception::new("OutOfMemoryError"),
        ReadError::OverLimit { .. } => Exception::new("LimitError"),
        ReadError::Cancelled { .. } => Exception::new("CancelledError"),
        ReadError::Outdated { .. } => Exception::new("OutdatedError"),
        ReadError::Changed { .. } => Exception::new("ConflictError"),
        ReadError::Throttled { .. } => Exception::new("RemoteError"),
        ReadError::OfOtherShard { index, count, .. } => Exception {
            second: Some(("count", (*count).into())),
            ..Exception::new("WrongShardError").number("index", *index)
        },
        _ => Exception::new("InternalError"),
    };
    exception.path(file)
}

fn of_file(error: &FileError) -> Exception {
    Exception::io(&error.source).path(&error.path)
}

fn of_write(error: &WriteError) -> Exception {
    match error {
        WriteError::OutOfOrder { entry, .. }
        | WriteError::TombstoneNotLast { entry, .. }
        | WriteError::KeyHashMismatch { entry, .. }
        | WriteError::KeyLenMismatch { entry, .. }
        | WriteError::KeyTooLong { entry, .. }
        | WriteError::InlineTooLong { entry, .. }
        | WriteError::SmallTooLong { entry, .. }
        | WriteError::MediumTooLong { entry, .. }
        | WriteError::RunTooLong { entry, .. }
        | WriteError::BadStoredBlock { entry, .. }
        | WriteError::StoredForm { entry }
        | WriteError::TooManyBlocks { entry, .. }
        | WriteError::FileTooLarge { entry, .. } => {
            Exception::new("EntryError").number("position", *entry)
        }
        WriteError::DuplicateKey { .. } => Exception::new("DuplicateKeyError"),
        WriteError::NoEntries | WriteError::Description(_) => Exception::new("UsageError"),
        WriteError::Filter(_) => Exception::new("LimitError"),
        WriteError::Exists { path } => Exception::new("FileError").path(path),
        WriteError::Io { source, .. } => Exception::io(source),
        WriteError::OutOfMemory { .. } => Exception::new("OutOfMemoryError"),
        WriteError::Poisoned => Exception::new("ClosedError"),
        _ => Exception::new("InternalError"),
    }
}

fn of_publish(error: &PublishError) -> Exception {
    match error {
        PublishError::Locked { directory, .. } => Exception::new("LockedError").path(directory),
        PublishError::LockLost { path } | PublishError::Changed { path } => {
            Exception::new("ConflictError").path(path)
        }
        PublishError::ClaimLost { path } => Exception::new("ConflictError").path(path),
        PublishError::NoSuchGeneration { directory, .. } => {
            Exception::new("UsageError").path(directory)
        }
        PublishError::Unprotected { path } => Exception::new("UnsupportedError").path(path),
        PublishError::MissingCurrent { directory } => {
            Exception::new("CorruptionError").path(directory)
        }
        PublishError::Format { path, .. }
        | PublishError::MissingMeta { path }
        | PublishError::BrokenChain { path, .. }
        | PublishError::PartOfCommit { path, .. }
        | PublishError::BadBlob { path, .. }
        | PublishError::NotTheListedBlob { path }
        | PublishError::NotAsWritten { path }
        | PublishError::TaskFile { path, .. } => Exception::new("CorruptionError").path(path),
        PublishError::OfShard { path, .. } | PublishError::Needed { path } => {
            Exception::new("UsageError").path(path)
        }
        PublishError::NotLive { .. }
        | PublishError::ForeignTable { .. }
        | PublishError::CommitEnded { .. }
        | PublishError::TaskReport(_)
        | PublishError::TasksOverlap { .. }
        | PublishError::WrongFamily { .. } => Exception::new("UsageError"),
        PublishError::NotClaimed { .. } => Exception::new("ConflictError"),
        PublishError::UnknownBlob { .. } => Exception::new("CorruptionError"),
        PublishError::NumbersExhausted { directory } => {
            Exception::new("LimitError").path(directory)
        }
        PublishError::Write(error) => of_write(error),
        PublishError::File(error) => of_file(error),
        PublishError::Cancelled => Exception::new("CancelledError"),
        PublishError::Poisoned { directory } => Exception::new("ClosedError").path(directory),
        _ => Exception::new("InternalError"),
    }
}

fn of_bulk(error: &BulkError) -> Exception {
    match error {
        BulkError::Entry { input_position, .. } => {
            Exception::new("EntryError").number("position", input_position.position)
        }
        BulkError::Duplicate { .. } => Exception::new("DuplicateKeyError"),
        BulkError::NoPosition { .. } => Exception::new("LimitError"),
        BulkError::SpillDamaged { path, .. } => Exception::new("CorruptionError").path(path),
        BulkError::Cancelled => Exception::new("CancelledError"),
        BulkError::File(error) => of_file(error),
        BulkError::Write(error) => of_write(error),
        BulkError::Publish(error) => of_publish(error),
        _ => Exception::new("InternalError"),
    }
}

fn of_merge(error: &MergeError) -> Exception {
    match error {
        MergeError::Read(error) => of_read(error),
        MergeError::Unordered { file, .. } => Exception::new("CorruptionError").path(file.path()),
        MergeError::DuplicateKey { file, .. } => {
            Exception::new("DuplicateKeyError").path(file.path())
        }
        MergeError::BlobWithoutDirectory { file, .. } => {
            Exception::new("UsageError").path(file.path())
        }
        MergeError::BlobInLoneTable { .. }
        | MergeError::TooLargeForOneTable
        | MergeError::NoDigests => Exception::new("UsageError"),
        MergeError::Content { path, .. } => Exception::new("CorruptionError").path(path),
        MergeError::NotAsMerged { .. } => Exception::new("CorruptionError"),
        MergeError::OfShard { path, .. }
        | MergeError::NotAFragment { path, .. }
        | MergeError::FragmentTwice { path }
        | MergeError::FragmentsOverlap { path, .. } => Exception::new("UsageError").path(path),
        MergeError::Publish(error) => of_publish(error),
        MergeError::Cancelled => Exception::new("CancelledError"),
        _ => Exception::new("InternalError"),
    }
}

fn of_store(error: &StoreError) -> Exception {
    match error {
        StoreError::BadUrl { .. } => Exception::new("UsageError"),
        StoreError::Request { object, .. } => Exception::new("RemoteError").file(object),
        StoreError::Missing { object } => Exception::new("NotFoundError").file(object),
        StoreError::NoCommit { place } | StoreError::NoBucket { place } => {
            Exception::new("NotFoundError").file(place)
        }
        StoreError::NoListing { place, .. } => Exception::new("RemoteError").file(place),
        StoreError::NoConditions { object } => Exception::new("UnsupportedError").file(object),
        StoreError::WrongChecksum { object, block, .. }
        | StoreError::WrongBytes { object, block } => {
            Exception { block: *block, ..Exception::new("CorruptionError").file(object) }
        }
        StoreError::Format { object, .. }
        | StoreError::WrongLen { object, .. }
        | StoreError::NotAFile { object }
        | StoreError::TooLong { object, .. }
        | StoreError::PartOfCommit { object, .. }
        | StoreError::UnlistedBlob { object, .. } => Exception::new("CorruptionError").file(object),
        StoreError::Unprotected { object } => Exception::new("UnsupportedError").file(object),
        StoreError::Conflict { target, .. } => Exception::new("ConflictError").file(target),
        StoreError::Taken { object }
        | StoreError::Changed { object }
        | StoreError::Claimed { object, .. }
        | StoreError::Unknown { object }
        | StoreError::Doubtful { object, .. } => Exception::new("ConflictError").file(object),
        StoreError::ShardInBucket { place }
        | StoreError::SourceIsShard { place, .. }
        | StoreError::HoldsShard { place, .. }
        | StoreError::HoldsAll { place }
        | StoreError::NotAFragment { place, .. }
        | StoreError::FragmentTwice { place }
        | StoreError::FragmentsOverlap { place, .. }
        | StoreError::ReadOnly { place } => Exception::new("UsageError").file(place),
        StoreError::ShardOutgrown { object } => Exception::new("UsageError").file(object),
        StoreError::NumbersExhausted { place } => Exception::new("LimitError").file(place),
        StoreError::Read(error) => of_read(error),
        StoreError::Directory(error) => of_publish(error),
        StoreError::Write(error) => of_write(error),
        StoreError::Runtime { source } => Exception::io(source),
        StoreError::Cancelled => Exception::new("CancelledError"),
        _ => Exception::new("InternalError"),
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| to_exception(py, error).unwrap_or_else(|failed| failed))
    }
}

fn to_exception(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let exception = match &error {
        Error::Python(error) => return Ok(error.clone_ref(py)),
        Error::Type(text) => return Ok(PyTypeError::new_err(text.clone())),
        Error::MissingKey(key) => {
            let class = class(py, "MissingKeyError")?;
            return Ok(PyErr::from_value(class.call1((PyBytes::new(py, key),))?));
        }
        Error::Read(error) => of_read(error),
        Error::Store(error) => of_store(error),
        Error::Merge(error) => of_merge(error),
        Error::Publish(error) => of_publish(error),
        Error::Bulk(error) => of_bulk(error),
        Error::Write(error) => of_write(error),
        Error::Arrow(_) | Error::Usage(_) => Exception::new("UsageError"),
        Error::Io { path, source, .. } => Exception::io(source).file(path),
        Error::Entry { position, .. } => Exception::new("EntryError").number("position", *position),
        Error::Closed(_) => Exception::new("ClosedError"),
        Error::Forked(_) => Exception::new("ForkError"),
        Error::Conflict { place, .. } => Exception::new("ConflictError").file(place),
        Error::Live { commit, .. } => Exception::new("CommitLiveError").number("commit", *commit),
        Error::Stopped => Exception::new("CancelledError"),
        Error::Internal(_) => Exception::new("InternalError"),
    };
    build(py, &exception, text_of(&error))
}

/// A damaged file of a report, as the exception that a lookup would raise.
pub(crate) fn damage(py: Python<'_>, error: &ReadError) -> PyResult<Py<PyAny>> {
    Ok(build(py, &of_read(error), text_of(error))?.into_value(py).into_any())
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("sst_files._errors")?.getattr(name)
}

fn build(py: Python<'_>, exception: &Exception, text: String) -> PyResult<PyErr> {
    let class = class(py, exception.class)?;
    let Exception { file, errno, .. } = exception;
    let value = match (errno, file) {
        (Some(errno), Some(file)) => class.call1((*errno, text, file))?,
        (Some(errno), None) => class.call1((*errno, text))?,
        (None, _) => class.call1(PyTuple::new(py, [text])?)?,
    };
    match (exception.class, file) {
        ("LockedError", Some(file)) => value.setattr("directory", file)?,
        (_, Some(file)) if errno.is_none() => {
            value.setattr("file", file)?;
            if value.hasattr("filename")? {
                value.setattr("filename", file)?;
            }
        }
        _ => {}
    }
    if exception.class == "CorruptionError" {
        value.setattr("block", exception.block)?;
        value.setattr("cause", exception.cause.as_deref().unwrap_or(&value.str()?.to_string()))?;
    }
    for (name, number) in exception.number.iter().chain(&exception.second) {
        value.setattr(*name, *number)?;
    }
    Ok(PyErr::from_value(value))
}
