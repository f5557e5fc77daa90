//! The traits through which a filter plugs into a writer and a reader.
//!
//! A filter answers the query "may this table hold a key with this hash?" with *no* (certain) or
//! *maybe*. FORMAT.md section 10 describes the one filter of the format, a quotient filter; it
//! lives in a crate of its own (`sst-amqf`) and plugs in here. Filter bytes are opaque to this
//! crate: a writer without a filter stores none, and a reader without a [`FilterPolicy`] ignores
//! them. Its lookups are right too, only slower on a miss.
//!
//! The traits are those of RocksDB: a policy makes builders and opens filters, a builder gathers
//! the hashes of one table, a filter answers queries. All are object-safe.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;

/// A kind of filter: makes builders for a writer and opens filter bytes for a reader.
///
/// One policy object serves any number of tables and threads.
pub trait FilterPolicy: fmt::Debug + Send + Sync {
    /// Starts the filter of one table.
    fn builder(&self) -> Box<dyn FilterBuilder>;

    /// Opens the filter bytes of one table. The filter must answer from these bytes in place,
    /// without copying them.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the bytes are not a filter of this kind, or one that could give a wrong
    /// "no": damaged bytes must never become one.
    fn open(&self, bytes: FilterBytes) -> Result<Box<dyn Filter>, FilterError>;

    /// As [`FilterPolicy::open`], for bytes whose checksum was verified, so that they are the bytes
    /// that a builder made.
    ///
    /// The policy need not look for damage, so this should take O(1). By default it does the same
    /// as `open`.
    ///
    /// # Errors
    ///
    /// As [`FilterPolicy::open`].
    fn open_verified(&self, bytes: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        self.open(bytes)
    }
}

/// Gathers the hashes of one table and turns them into filter bytes.
pub trait FilterBuilder: fmt::Debug + Send {
    /// Adds the hashes of the next entries of the table, in the order of the entries: ascending,
    /// with equal ones next to each other.
    ///
    /// The writer gives each entry once, so the number of hashes is the number of entries. It gives
    /// them in batches, so that the dynamic call is not made for every entry.
    fn add_hashes(&mut self, hashes: &[u64]);

    /// Builds the filter over all hashes added, and returns its bytes.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if no filter can be built over that many entries.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError>;
}

/// An opened filter of one table, which answers queries.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Whether the table may hold an entry with this hash. `false` is certain, `true` is not.
    fn may_contain(&self, hash: u64) -> bool;

    /// Asks the processor to fetch the bytes that [`Filter::may_contain`] will read for this hash,
    /// while the caller does something else. This is a hint: by default it does nothing.
    fn prefetch(&self, hash: u64) {
        // By default the hint is ignored.
        _ = hash;
    }

    /// Number of distinct fingerprints in the filter.
    fn fingerprint_count(&self) -> u64;

    /// All fingerprints in the filter, for an index over the filters of many tables. `None` if the
    /// filter cannot list them, which is the default and costs such an index its speed only. O(n).
    fn fingerprints(&self) -> Option<Fingerprints> {
        None
    }
}

/// The fingerprints of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// How many of the lowest bits of a hash its fingerprint consists of.
    pub bits: u32,
    /// The fingerprints: every hash that was added to the filter ends in one of them.
    pub values: Vec<u64>,
}

/// The reason why filter bytes could not be built or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError {
    reason: &'static str,
}

impl FilterError {
    /// An error with a short text that states the reason, without the words "filter" or "error".
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        Self { reason }
    }

    /// The text given to [`FilterError::new`].
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad filter: {}", self.reason)
    }
}

impl core::error::Error for FilterError {}

/// Bytes together with their owner, for example a part of a memory map.
///
/// A clone is cheap and copies no bytes, so an opened [`Filter`] can answer straight from a mapped
/// file.
#[derive(Clone)]
pub struct FilterBytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl FilterBytes {
    /// All bytes of `owner`, which must always return the same ones.
    #[must_use]
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(owner))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl AsRef<[u8]> for FilterBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for FilterBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterBytes({} bytes)", self.as_slice().len())
    }
}
