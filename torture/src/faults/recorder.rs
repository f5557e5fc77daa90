//! Records the operations on a directory, for a disk that forgets unsynced writes.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::tap::{Operation, Order, Tap, WithoutSync};

/// A recorded operation: one that changes a file or directory, or makes a change durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A file was created under a temporary name.
    Create {
        /// The directory.
        directory: PathBuf,
        /// The number of the file.
        file: u64,
    },
    /// Bytes were appended to a file.
    Write {
        /// The number of the file.
        file: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The content of a file was made durable.
    Sync {
        /// The number of the file.
        file: u64,
    },
    /// A file got its final name.
    Name {
        /// The number of the file.
        file: u64,
        /// The path.
        path: PathBuf,
    },
    /// A file was removed before it got its name.
    Discard {
        /// The number of the file.
        file: u64,
    },
    /// The names of a directory were made durable.
    SyncDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// A directory was created.
    CreateDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// A file was removed.
    Remove {
        /// The path.
        path: PathBuf,
    },
}

impl Record {
    fn of(operation: &Operation<'_>) -> Option<Self> {
        let owned = Path::to_path_buf;
        Some(match *operation {
            Operation::Create { directory, file } => {
                Self::Create { directory: owned(directory), file }
            }
            Operation::Write { file, bytes } => Self::Write { file, bytes: bytes.to_vec() },
            Operation::Sync { file } => Self::Sync { file },
            Operation::PersistNew { file, path } | Operation::Replace { file, path } => {
                Self::Name { file, path: owned(path) }
            }
            Operation::Discard { file } => Self::Discard { file },
            Operation::SyncDirectory { directory } => {
                Self::SyncDirectory { directory: owned(directory) }
            }
            Operation::CreateDirectory { directory } => {
                Self::CreateDirectory { directory: owned(directory) }
            }
            Operation::Remove { path } => Self::Remove { path: owned(path) },
            Operation::Read { .. }
            | Operation::Open { .. }
            | Operation::Size { .. }
            | Operation::ReadPart { .. }
            | Operation::DropCache { .. }
            | Operation::Exists { .. }
            | Operation::IsDirectory { .. }
            | Operation::IsFile { .. }
            | Operation::LockInPlace { .. }
            | Operation::Canonicalize { .. }
            | Operation::Modified { .. }
            | Operation::ReadBack { .. }
            | Operation::List { .. }
            // Only a folder of temporary files is removed, and its creation is not recorded either.
            | Operation::RemoveDirectory { .. }
            | Operation::LockDirectory { .. }
            | Operation::Lock { .. } => {
                return None;
            }
        })
    }
}

/// A tap that lets all operations pass and records them. None of them may fail.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Record>>);

impl Recorder {
    /// The operations recorded so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap().clone()
    }
}

impl Tap for Recorder {
    fn order(&self, operation: &Operation<'_>) -> Order {
        self.0.lock().unwrap().extend(Record::of(operation));
        WithoutSync.order(operation)
    }
}
