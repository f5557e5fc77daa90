//! A table after it is written.

use sst_format::{BlobNumber, SstMeta};

use crate::table::TableDigest;

/// A table that is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished<T> {
    /// What a reader must know of the table.
    pub meta: SstMeta,
    /// Numbers of the blob files that the table refers to, in ascending order, each once.
    pub blobs: Vec<BlobNumber>,
    /// The content digest of its entries, if
    /// [`WriterOptions::digest`](crate::WriterOptions::digest) asks for it.
    pub digest: Option<TableDigest>,
    /// What is left of the sink: nothing for a file, the bytes for a `Vec<u8>`.
    pub output: T,
}
