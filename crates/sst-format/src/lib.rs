//! The on-disk format of immutable, hash-sorted static table (SST) files, as code.
//!
//! Each structure of the format has one module, with its encoder and its checked view side by side:
//!
//! | module | structure | FORMAT.md |
//! |---|---|---|
//! | [`block`] | block header, encoding, when compression pays | section 3 |
//! | [`offset_table`] | the ends of all blocks, the last part of a `.sst` file | section 3 |
//! | [`key_block`] | keys with value references, in four kinds | section 4 |
//! | [`value_ref`] | entry type and value reference of one entry | section 4 |
//! | [`index_block`] | the first hash of each key block | section 6 |
//! | [`meta_file`] | descriptions of tables, and their filters | section 9 |
//! | [`identity`] | identities of commits and of tables | section 9 |
//! | [`live`] | the rule for which tables are live | section 9 |
//! | [`meta_head`] | protection version 3: a head that is read without the filters | section 9 |
//! | [`protection`] | the section that makes a commit one chain of checksums | section 9 |
//! | [`content_digest`] | an order-independent digest of a set of entries | section 12 |
//! | [`current`] | the commit point of a directory | section 1 |
//! | [`del_file`] | sequence numbers of obsolete files | section 1 |
//! | [`file_name`] | names of numbered files: `NNNNNNNN.sst` and others | section 1 |
//! | [`filter`] | the traits through which filters plug in | section 10 |
//!
//! [`limits`] holds every number of the format in one table; [`types`] the newtypes; [`monitor`]
//! progress and cancellation of long operations, shared by all crates. Blob files (section 8) are a
//! [`block::BlockHeader`] followed by one payload; value blocks (section 5) have no structure of
//! their own.
//!
//! # Guarantees
//!
//! - No dependencies, `no_std` (with `alloc` for the encoders), no `unsafe`.
//! - Views borrow and allocate nothing. `parse` checks sizes and fixed fields only, in O(1) unless
//!   its documentation says otherwise; `validate` checks everything, in O(n). Access to an entry is
//!   checked and returns a `Result`.
//! - No sequence of bytes makes anything here panic. Errors are small [`FormatError`] values.
//!
//! # Example
//!
//! A key block of one entry, written and read back:
//!
//! ```
//! use sst_format::key_block::{KeyBlock, KeyBlockEncoder, KeyBlockShape};
//! use sst_format::value_ref::ValueRef;
//!
//! let value = ValueRef::Inline(b"one");
//! let shape = KeyBlockShape::default().with_entry(b"key".len(), value.entry_type()?)?;
//! let mut block = Vec::new();
//! let mut encoder = KeyBlockEncoder::new(&shape, &mut block);
//! encoder.push(0x1234, b"key", value);
//! encoder.finish()?;
//!
//! let block = KeyBlock::parse(&block)?;
//! assert_eq!(block.entry_count(), 1);
//! assert_eq!(block.key(0)?, b"key");
//! assert_eq!(block.value_ref(0)?, value);
//! # Ok::<(), sst_format::FormatError>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(sst_planted)]
extern crate std;

#[macro_use]
mod planted;

mod bytes;
mod error;

pub mod block;
pub mod content_digest;
pub mod current;
pub mod del_file;
#[cfg(feature = "explain")]
pub mod explain;
pub mod file_name;
pub mod filter;
pub mod hash_ranges;
pub mod identity;
pub mod index_block;
pub mod key_block;
pub mod limits;
pub mod live;
pub mod meta_file;
pub mod meta_head;
pub mod monitor;
pub mod offset_table;
pub mod own_number;
pub mod protection;
pub mod types;
pub mod value_ref;

mod commit_record;
mod meta_lengths;
mod meta_start;
mod protection_records;
mod sst_meta;

pub use commit_record::CommitRecord;
pub use error::{FormatError, Structure};
#[cfg(sst_planted)]
pub use planted::is_planted;
pub use sst_meta::{SstMeta, TableProtection};
pub use types::{BlobNumber, BlockIndex, SequenceNumber, TableFlags};

/// A function that computes the CRC-32 (IEEE, as in zlib) of some bytes.
///
/// This crate has no dependencies, so callers pass the function to the few structures that carry a
/// checksum of their own ([`current`], [`protection`], [`meta_head`]); writer and reader pass
/// `crc32fast::hash`.
pub type Crc32 = fn(&[u8]) -> u32;
