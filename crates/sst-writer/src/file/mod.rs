//! Files that appear whole and durable, or not at all.

pub(crate) mod atomic_file;
pub(crate) mod directory;
pub(crate) mod early_sync;
pub(crate) mod file_error;
pub(crate) mod file_system;
pub(crate) mod os_file_system;
pub(crate) mod remote_output;
pub(crate) mod sink;
pub(crate) mod staged_file;
pub(crate) mod sync_watch;

pub use atomic_file::AtomicFile;
pub use file_error::{FileError, FileOperation};
pub use file_system::{FileSystem, HeldLock, Lock, NewFile, StoredFile};
pub use os_file_system::OsFileSystem;
pub use remote_output::{RemoteFile, RemoteOutput};
pub use sink::Sink;
