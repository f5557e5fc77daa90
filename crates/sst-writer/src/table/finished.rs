//! The result of writing a table.

use sst_format::{BlobNumber, SstMeta};

use crate::table::TableDigest;

/// A table that is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished<T> {
    /// The description of the table, with which a reader opens it.
    pub meta: SstMeta,
    /// Numbers of the blob files that the table refers to, in ascending order, each once.
    pub blobs: Vec<BlobNumber>,
    /// The content digest of its entries, if
    /// [`WriterOptions::digest`](crate::WriterOptions::digest) is set.
    pub digest: Option<TableDigest>,
    /// The result of the sink: nothing for a file, the bytes for a `Vec<u8>`.
    pub output: T,
}
