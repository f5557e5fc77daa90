//! Blob files: values over 64 MiB, one in each file.

pub(crate) mod blob_file;

pub use blob_file::{BlobFile, write_blob_file, write_blob_file_in};
