//! Errors of operations on files.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// An operation on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct FileError {
    /// The file or directory, by its present or its intended name.
    pub path: PathBuf,
    /// The operation that failed.
    pub operation: FileOperation,
    /// The error of the system.
    pub source: io::Error,
}

impl FileError {
    /// The error of an operation on `path`, for `map_err`.
    pub(crate) fn at(path: &Path, operation: FileOperation) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), operation, source }
    }

    /// The file error that an I/O error carries, or the I/O error itself.
    pub(crate) fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// An operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileOperation {
    /// Check whether a file or directory exists, and resolve its path.
    Inspect,
    /// Create a directory.
    CreateDirectory,
    /// Create a file under a temporary name.
    Create,
    /// Write bytes.
    Write,
    /// Make the content durable.
    Sync,
    /// Give a file its final name.
    Rename,
    /// Make the names in a directory durable.
    SyncDirectory,
    /// Read a file.
    Read,
    /// List a directory.
    List,
    /// Remove a file.
    Remove,
    /// Finish an output.
    Finish,
    /// Lock a directory.
    Lock,
    /// Write records that do not fit into memory to a spill file.
    Spill,
    /// Read a spill file.
    ReadSpill,
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "look for",
            Self::CreateDirectory => "create the directory",
            Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::SyncDirectory => "sync the directory",
            Self::Read => "read",
            Self::List => "list",
            Self::Remove => "remove",
            Self::Finish => "finish",
            Self::Lock => "lock",
            Self::Spill => "spill to a temporary file in",
            Self::ReadSpill => "read a spill file in",
        })
    }
}
