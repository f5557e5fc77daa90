//! Blob files: large values, one in each file. Every value over 64 MiB needs one.

pub(crate) mod blob_file;

pub use blob_file::{BlobFile, encode_blob, write_blob_file, write_blob_file_in};
