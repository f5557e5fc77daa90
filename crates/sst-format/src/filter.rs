//! Filters: how a writer gets filter bytes and how a reader asks them, without either knowing the
//! filter.
//!
//! A filter answers "may this table hold a key with this hash?" with *no* (certain) or *maybe*.
//! FORMAT.md section 10 describes the one filter of the format, a quotient filter; it lives in a
//! crate of its own (`sst-amqf`) and plugs in here. Filter bytes are opaque to this crate: a writer
//! without a filter stores none, and a reader without a [`FilterPolicy`] ignores them and still
//! answers right, only slower on a miss.
//!
//! The three traits are RocksDB's: a policy names the filter and makes the other two, a builder
//! gathers the hashes of one table, an opened filter answers. All are object-safe.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, ops::Range};

/// A kind of filter: makes builders for a writer and opens filter bytes for a reader.
///
/// One policy object serves any number of tables and threads.
pub trait FilterPolicy: fmt::Debug + Send + Sync {
    /// Starts the filter of one table.
    fn builder(&self) -> Box<dyn FilterBuilder>;

    /// Opens the filter bytes of one table, which must then be answered in place, without copying
    /// them.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the bytes are not a filter of this kind, or one that could answer
    /// wrongly. Damaged bytes must never become a wrong "no".
    fn open(&self, bytes: FilterBytes) -> Result<Box<dyn Filter>, FilterError>;

    /// As [`FilterPolicy::open`], for bytes that are what a builder made: a checksum over them was
    /// right. Damage need not be looked for then, so this should take O(1). Does the same as `open`
    /// unless a policy knows better.
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
    /// Adds the hashes of the next entries of the table, in their order: ascending, equal ones next
    /// to each other.
    ///
    /// Every entry is given once, so the number of hashes is the number of entries. A writer hands
    /// them over in batches, which keeps the dynamic call off the path of the single entry.
    fn add_hashes(&mut self, hashes: &[u64]);

    /// Builds the filter over all hashes added, and returns its bytes.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if no filter can be built over that many entries.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError>;
}

/// The filter of one table, opened for questions.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Whether the table may hold an entry with this hash. `false` is certain, `true` is not.
    fn may_contain(&self, hash: u64) -> bool;

    /// Asks the processor to fetch what [`Filter::may_contain`] will look at for this hash, while
    /// the caller does something else. A hint: doing nothing, which is the default, is right too.
    fn prefetch(&self, hash: u64) {
        // A hint that is not taken.
        _ = hash;
    }

    /// Number of distinct fingerprints in the filter.
    fn fingerprint_count(&self) -> u64;
}

/// Why filter bytes could not be built or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError {
    reason: &'static str,
}

impl FilterError {
    /// An error with a short text that says what is wrong, without the words "filter" or "error".
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

/// A slice of bytes together with whatever keeps them alive: a memory map, a meta file read into
/// memory.
///
/// Cloning is cheap and copies no bytes. It lets an opened [`Filter`] answer straight from a mapped
/// file.
#[derive(Clone)]
pub struct FilterBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl FilterBytes {
    /// All bytes of `owner`.
    #[must_use]
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Self { owner: Arc::new(owner), range }
    }

    /// The bytes of `owner` in `range`, or `None` if it does not lie within them.
    #[must_use]
    pub fn slice_of(
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        range: Range<usize>,
    ) -> Option<Self> {
        (*owner).as_ref().get(range.clone())?;
        Some(Self { owner, range })
    }

    /// The bytes. An owner must always give the bytes that it gave first.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        let bytes = (*self.owner).as_ref().get(self.range.clone());
        debug_assert!(bytes.is_some(), "the owner of a filter has shrunk");
        // No bytes are no filter: a table without one answers right, only slower.
        bytes.unwrap_or_default()
    }
}

impl AsRef<[u8]> for FilterBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for FilterBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterBytes({} bytes)", self.range.len())
    }
}
