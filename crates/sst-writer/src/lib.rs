//! Writes static sorted tables (SST files), and publishes directories of them.
//!
//! A table is written once, from entries in ascending order of (hash, key), and never changed. This crate is all that a
//! service needs to produce them; it depends on no reader and on no filter.
//!
//! # Example
//!
//! Some rows become a published directory:
//!
//! ```
//! use sst_writer::{Entry, Publisher, PublisherOptions, WriterOptions};
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
//! commit.publish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | to | use |
//! |---|---|
//! | write one table to a file | [`write_static_sorted_file`], [`StreamingSstWriter::create`] |
//! | write one table to any output | [`StreamingSstWriter::new`] with a [`Sink`] |
//! | say what an entry is | [`Entry`], [`EntryValue`], [`HashedKey`], [`hash_key`] |
//! | build a filter, take several values per key, leave blocks uncompressed | [`WriterOptions`] |
//! | store values over 64 MiB | [`Commit::create_blob`], [`write_blob_file`] |
//! | load entries in any order, more than fit into memory | [`BulkLoader`] |
//! | publish tables that other processes or machines wrote | [`Commit::add_fragment`] |
//! | replace the content of a directory in one step | [`Publisher`], [`Commit`] |
//! | see what becomes of it when the disk fails | [`FileSystem`] |
//!
//! # What this crate promises
//!
//! - The same entries and options give the same bytes on every 64-bit little-endian machine. Other machines may
//!   compress to other bytes. Every machine reads the files of any other.
//! - What cannot be read back is never written: entries out of order, values too long, hashes that no reader would compute
//!   and tables past the limits of the format are refused before anything changes, in every build.
//! - A file is there whole and durable, or not at all. A commit is seen whole or not at all. No file is ever overwritten but
//!   `CURRENT`, which is replaced in one step.
//! - After a failure of the output the writer says so and does nothing more; a sync that failed is never taken as done.
//! - Memory is bounded, whatever the number of entries: see [`StreamingSstWriter`].

#![forbid(unsafe_code)]

mod bulk;
mod file;
mod lz4;
mod publish;
mod table;

pub use bulk::bulk_error::BulkError;
pub use bulk::bulk_handle::BulkHandle;
pub use bulk::bulk_loader::{BulkLoader, BulkSummary};
pub use bulk::bulk_options::{BulkMode, BulkOptions, DuplicatePolicy};
pub use bulk::place::Place;
pub use file::atomic_file::AtomicFile;
pub use file::blob_file::{BlobFile, write_blob_file, write_blob_file_in};
pub use file::file_error::{FileError, FileOperation};
pub use file::file_system::{FileSystem, Lock, NewFile, OsFileSystem, StoredFile};
pub use publish::commit::fragment::{FragmentInfo, FragmentOverlap};
pub use publish::commit::{Commit, CommitInfo};
pub use publish::generation::Generation;
pub use publish::lock_holder::LockHolder;
pub use publish::publish_error::PublishError;
pub use publish::publisher::Publisher;
pub use publish::publisher_options::PublisherOptions;
pub use publish::read_back::table_defect::TableDefect;
pub use publish::table_writer::{FinishedTable, TableWriter};
pub use sst_format::monitor::{CancelToken, Cancelled, Monitor, Phase, Progress};
pub use table::entry::{Entry, EntryValue, HashedEntry, HashedKey, ValueTooLarge, hash_key};
pub use table::entry_digester::TableDigest;
pub use table::finished::Finished;
pub use table::short_key::ShortKey;
pub use table::sink::Sink;
pub use table::streaming_sst_writer::{StreamingSstWriter, write_static_sorted_file};
pub use table::write_error::{RawBlockDefect, WriteError};
pub use table::writer_options::{Compression, WriterOptions};

/// The example of the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
