//! Options of a table.

use std::sync::Arc;

use sst_format::TableFlags;
use sst_format::filter::FilterPolicy;

pub use crate::codec::Compression;

/// Options of a table. Start from the default and change single fields.
///
/// # Examples
///
/// ```
/// use sst_writer::{Compression, WriterOptions};
///
/// let options = WriterOptions::default().multi_value(true).compression(Compression::None);
/// assert!(options.multi_value);
/// ```
#[derive(Clone, Debug, Default)]
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
}
