//! Files that appear whole and durable, or not at all.

pub(crate) mod atomic_file;
pub(crate) mod blob_copy;
pub(crate) mod blob_file;
#[cfg(test)]
pub(crate) mod faulty_file_system;
pub(crate) mod file_error;
pub(crate) mod file_system;
pub(crate) mod staged_file;
pub(crate) mod sync_watch;
