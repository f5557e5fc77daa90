//! Options of a table.

use std::sync::Arc;

use sst_format::TableFlags;
use sst_format::filter::FilterPolicy;
use sst_format::limits::{KEY_BLOCK_SIZE, VALUE_BLOCK_SIZE};

pub use crate::codec::Compression;

/// Options of a table. Start from the default and change single fields.
///
/// # Examples
///
/// ```
/// use sst_writer::WriterOptions;
/// use sst_writer::table::Compression;
///
/// let options = WriterOptions::default().multi_value(true).compression(Compression::None);
/// assert!(options.multi_value);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriterOptions {
    /// The filter to build over the entries. Default: none, and the table has no filter bytes.
    pub filter: Option<Arc<dyn FilterPolicy>>,
    /// Whether a key may have several entries; a tombstone is then the last of them. Otherwise a
    /// second entry of a key is an error. Default: `false`.
    pub multi_value: bool,
    /// Flags of the table in its description. Default: no flags.
    pub flags: TableFlags,
    /// Compression of blocks. Default: [`Compression::Lz4`].
    pub compression: Compression,
    /// Whether the content digest of the entries is computed (FORMAT.md section 12). It costs two
    /// SHA-256 for each entry, and a copy of the key of each entry that refers to a blob. Default:
    /// `false`; in a commit [`PublisherOptions::digest`](crate::PublisherOptions::digest) turns it
    /// on too.
    pub digest: bool,
    /// The size in bytes at which a block of small values is written, before compression. A smaller
    /// block is read and decompressed faster for one value that is not in memory; a larger one
    /// compresses better and needs less memory for the list of blocks. A table has at most 65,535
    /// blocks, so with blocks of 4 KiB it is full at some 256 MiB of values. More than 1 MiB counts
    /// as 1 MiB. Default: 8 KiB, as the original does.
    pub value_block_size: usize,
    /// The size in bytes at which a key block is closed: Σ(key length + 20), before compression.
    /// A block has at least one entry, and entries with equal hashes stay together. More than 1 MiB
    /// counts as 1 MiB. Default: 16 KiB, as the original does.
    pub key_block_size: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            filter: None,
            multi_value: false,
            flags: TableFlags::default(),
            compression: Compression::default(),
            digest: false,
            value_block_size: VALUE_BLOCK_SIZE,
            key_block_size: KEY_BLOCK_SIZE,
        }
    }
}

impl WriterOptions {
    /// Sets the filter to build.
    #[must_use]
    pub fn filter(mut self, policy: impl FilterPolicy + 'static) -> Self {
        self.filter = Some(Arc::new(policy));
        self
    }

    /// Sets whether a key may have several entries.
    #[must_use]
    pub fn multi_value(mut self, multi_value: bool) -> Self {
        self.multi_value = multi_value;
        self
    }

    /// Sets the flags of the table.
    #[must_use]
    pub fn flags(mut self, flags: TableFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the compression of blocks.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets whether the content digest of the entries is computed.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// Sets the size in bytes at which a block of small values is written.
    #[must_use]
    pub fn value_block_size(mut self, bytes: usize) -> Self {
        self.value_block_size = bytes;
        self
    }

    /// Sets the size in bytes at which a key block is closed.
    #[must_use]
    pub fn key_block_size(mut self, bytes: usize) -> Self {
        self.key_block_size = bytes;
        self
    }
}
