//! An annotated dump of any structure: offset, bytes in hex, meaning (feature `explain`).
//!
//! ```text
//! key block, 24 bytes
//!   0000  02                       kind 2: variable
//!   0001  00 00 01                 entries: 1
//! position table
//!   0004  0b 00 00 00              entry 0: inline of 3 bytes, starts at 0008
//! entry 0
//!   0008  6b 65 79                 key, 3 bytes: "key"
//!   000b  6f 6e 65                 value, inline, 3 bytes: "one"
//! ```
//!
//! `sst inspect --explain` prints these dumps, and they are the golden text of this crate's tests.
//! Fields come in the order of the bytes, and none is left out: the hex columns of an unshortened
//! dump, one after the other, are the input.
//!
//! No sequence of bytes makes [`explain`] panic. At the first error it states the error, and then
//! lists the remaining bytes without an explanation. Long fields and long runs of records are
//! shortened, see [`ExplainOptions`].

use core::fmt;

use crate::{Crc32, FormatError};

mod blocks;
mod dump;
mod key_block;
mod line;
mod meta_file;

use dump::{Dump, Stop};

pub use self::line::DumpLine;

/// The structure that [`explain`] reads the bytes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// A block of a table as stored, header included. The payload is shown as plain bytes.
    Block,
    /// The uncompressed payload of a key block of any kind.
    KeyBlock,
    /// The payload of an index block.
    IndexBlock {
        /// Number of blocks of its table, itself included.
        block_count: u16,
    },
    /// The uncompressed payload of a value block.
    ValueBlock {
        /// The known values in it, in the order of their offsets.
        values: &'a [ValueSlice],
    },
    /// The offset table of a table. [`ExplainOptions::base`] must be its offset in the file.
    OffsetTable,
    /// A whole meta file, with or without protection section.
    MetaFile,
    /// The whole file `CURRENT`.
    Current,
    /// A whole blob file. The payload is shown as plain bytes.
    Blob,
}

/// The position of a value in the uncompressed payload of its value block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueSlice {
    /// Offset of its first byte.
    pub offset: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// Options of [`explain`]: how much it prints, and the functions that it may call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExplainOptions {
    /// Offset in the file of the first byte that is explained: the offset column counts from here.
    /// Default 0.
    pub base: u64,
    /// Bytes shown of one field; the rest is only counted. Default 64.
    pub max_bytes: usize,
    /// Records shown of one run: the first ones and the last one, at least 2. The rest is only
    /// counted. Default 16.
    pub max_records: usize,
    /// CRC-32, to check stored checksums. Default: none, and checksums are shown unchecked.
    pub crc32: Option<Crc32>,
    /// XXH3-64, to show the hashes of keys in blocks that store none, and to check the order of
    /// those keys. Default: none.
    pub hash_key: Option<fn(&[u8]) -> u64>,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self { base: 0, max_bytes: 64, max_records: 16, crc32: None, hash_key: None }
    }
}

impl ExplainOptions {
    /// Shortens nothing.
    #[must_use]
    pub const fn full(mut self) -> Self {
        self.max_bytes = usize::MAX;
        self.max_records = usize::MAX;
        self
    }

    /// Sets [`ExplainOptions::base`].
    #[must_use]
    pub const fn base(mut self, base: u64) -> Self {
        self.base = base;
        self
    }

    /// Sets [`ExplainOptions::max_bytes`] and [`ExplainOptions::max_records`].
    #[must_use]
    pub const fn limits(mut self, max_bytes: usize, max_records: usize) -> Self {
        self.max_bytes = max_bytes;
        self.max_records = max_records;
        self
    }

    /// Sets [`ExplainOptions::crc32`].
    #[must_use]
    pub const fn crc32(mut self, crc32: Crc32) -> Self {
        self.crc32 = Some(crc32);
        self
    }

    /// Sets [`ExplainOptions::hash_key`].
    #[must_use]
    pub const fn hash_key(mut self, hash_key: fn(&[u8]) -> u64) -> Self {
        self.hash_key = Some(hash_key);
        self
    }
}

/// Writes an annotated dump of `bytes` to `out`. Returns the first error in them, if there is one.
///
/// The dump states the error too, in its line `error: …`.
///
/// # Errors
///
/// Only the errors of `out`.
///
/// # Example
///
/// ```
/// use sst_format::explain::{ExplainOptions, Subject, explain};
///
/// let mut text = String::new();
/// let damage = explain(Subject::Current, &[0, 0, 0, 7], &ExplainOptions::default(), &mut text)?;
/// assert_eq!(damage, None);
/// assert!(text.contains("committed sequence number 7"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
pub fn explain(
    subject: Subject<'_>,
    bytes: &[u8],
    options: &ExplainOptions,
    out: &mut dyn fmt::Write,
) -> Result<Option<FormatError>, fmt::Error> {
    let digits = line::digits(options.base, bytes);
    explain_lines(subject, bytes, options, &mut |line| line::write(line, digits, out))
}

/// As [`explain`], with a function that takes the pieces of the dump instead of their text.
///
/// # Errors
///
/// Only the errors of `each`.
pub fn explain_lines(
    subject: Subject<'_>,
    bytes: &[u8],
    options: &ExplainOptions,
    each: &mut dyn FnMut(DumpLine<'_>) -> fmt::Result,
) -> Result<Option<FormatError>, fmt::Error> {
    let mut dump = Dump::new(bytes, options, each);
    let result = match subject {
        Subject::Block => blocks::block(&mut dump, "block"),
        Subject::KeyBlock => key_block::key_block(&mut dump),
        Subject::IndexBlock { block_count } => blocks::index_block(&mut dump, block_count),
        Subject::ValueBlock { values } => blocks::value_block(&mut dump, values),
        Subject::OffsetTable => blocks::offset_table(&mut dump),
        Subject::MetaFile => meta_file::meta_file(&mut dump),
        Subject::Current => blocks::current(&mut dump),
        Subject::Blob => blocks::block(&mut dump, "blob"),
    };
    match result {
        Ok(()) => Ok(None),
        Err(Stop::Write(error)) => Err(error),
        Err(Stop::Format(error)) => {
            dump.error(error)?;
            Ok(Some(error))
        }
    }
}

#[cfg(test)]
mod tests;
