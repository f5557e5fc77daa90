//! Writes static sorted tables (SST files), and publishes directories of them.
//!
//! A table is written once, from entries in ascending order of (hash, key), and never changed. This
//! crate is all that a service needs to produce them; it depends on no reader and on no filter.
//!
//! # Example
//!
//! Some rows become a published directory:
//!
//! ```
//! use sst_writer::{Entry, Monitor, Publisher, PublisherOptions, WriterOptions};
//!
//! # let parent = tempfile::tempdir()?;
//! # let directory = parent.path().join("fruit");
//! let mut rows = vec![("apple", "red"), ("pear", "green"), ("plum", "blue")];
//! rows.sort_by_key(|row| (row.key_hash(), row.0));
//!
//! let mut publisher = Publisher::open(&directory, PublisherOptions::default())?;
//! let mut commit = publisher.begin();
//! let mut table = commit.create_table(WriterOptions::default())?;
//! for row in &rows {
//!     table.add(row)?;
//! }
//! commit.add_table(table.finish()?)?;
//! commit.replace_all();
//! commit.publish(&Monitor::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | to |
//! |---|---|
//! | [`table`] | write one table, to a file or to any output: [`StreamingSstWriter`] |
//! | [`blob`] | write large values to files of their own |
//! | [`bulk`] | load entries in any order, more than fit into memory |
//! | [`publish`] | make tables and blobs visible in one step, or roll back to an earlier commit |
//! | [`file`](mod@file) | observe and change how files are written: [`file::FileSystem`] |
//! | [`monitor`] | observe and cancel long operations: [`Monitor`] |
//!
//! The dozen names that most programs start with are also at the root of the crate.
//!
//! # Guarantees
//!
//! - The same entries and options give the same bytes on every 64-bit little-endian machine. Other
//!   machines may compress to other bytes. Every machine reads the files of any other.
//! - The writer never writes entries that cannot be read back. It refuses entries out of order,
//!   values that are too long, hashes that no reader would compute, and tables past the limits of
//!   the format. It does so before anything changes, in every build.
//! - A file is there whole and durable, or not at all. A commit is visible whole or not at all. No
//!   file is ever overwritten except `CURRENT`, which is replaced in one step.
//! - After a failed write the writer returns an error and does nothing more. A failed sync never
//!   counts as done.
//! - Memory is bounded for any number of entries: see [`StreamingSstWriter`].

#![forbid(unsafe_code)]

pub mod blob;
pub mod bulk;
mod codec;
pub mod file;
mod invariant;
pub mod publish;
pub mod table;

#[doc(inline)]
pub use bulk::{BulkError, BulkLoader, BulkOptions};
#[doc(inline)]
pub use publish::{PublishError, Publisher, PublisherOptions};
#[doc(inline)]
pub use sst_format::monitor;
#[doc(inline)]
pub use sst_format::monitor::Monitor;
#[doc(inline)]
pub use table::{Entry, EntryValue, StreamingSstWriter, WriteError, WriterOptions};

// Short paths for the modules of this crate.
pub(crate) use blob::BlobFile;
pub(crate) use file::{
    AtomicFile, FileError, FileOperation, FileSystem, Lock, NewFile, OsFileSystem, Sink, StoredFile,
};
pub(crate) use publish::{
    Commit, CommitInfo, FinishedTable, LockHolder, PreparedCommit, TableWriter,
};
pub(crate) use sst_format::monitor::Phase;
pub(crate) use table::{Compression, Finished, StoredBlockDefect, TableDigest, hash_key};

/// The example of the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
