//! Files that appear whole and durable, or not at all.

pub(crate) mod atomic_file;
pub(crate) mod blob_copy;
#[cfg(test)]
pub(crate) mod faulty_file_system;
pub(crate) mod file_error;
pub(crate) mod file_system;
pub(crate) mod sink;
pub(crate) mod staged_file;
pub(crate) mod sync_watch;

pub use atomic_file::AtomicFile;
pub use file_error::{FileError, FileOperation};
pub use file_system::{FileSystem, Lock, NewFile, OsFileSystem, StoredFile};
pub use sink::Sink;
