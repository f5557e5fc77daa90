#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod async_set;
#[cfg(feature = "typed")]
pub mod typed;

pub use sst_amqf as filter;
pub use sst_amqf::QuotientFilter;
pub use sst_format as format;
#[cfg(feature = "merge")]
pub use sst_merge as merge;
#[cfg(feature = "read")]
pub use sst_reader as reader;
#[cfg(feature = "read")]
pub use sst_reader::{LiveSet, ReadError, ReaderOptions, Slice, SstSet};
#[cfg(feature = "write")]
pub use sst_writer as writer;
#[cfg(feature = "write")]
pub use sst_writer::{
    BulkError, BulkOptions, Monitor, PublishError, Publisher, PublisherOptions, WriteError,
    WriterOptions, bulk::OwnedBulkLoader,
};

/// The default options of readers, with filters on. Start from them and change single fields.
#[cfg(feature = "read")]
#[must_use]
pub fn reader_options() -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default())
}

/// The default options of writers, with filters on. Start from them and change single fields.
#[cfg(feature = "write")]
#[must_use]
pub fn writer_options() -> WriterOptions {
    WriterOptions::default().filter(QuotientFilter::default())
}

/// The default options of bulk loads, with filters on. Start from them and change single fields.
#[cfg(feature = "write")]
#[must_use]
pub fn bulk_options() -> BulkOptions {
    BulkOptions::default().writer(writer_options())
}

/// Opens family 0 of the directory `dir` for lookups, from any number of threads and of the newest
/// commit: [`LiveSet::refresh`] takes a newer one.
///
/// # Errors
///
/// As [`LiveSet::open`].
#[cfg(feature = "read")]
pub fn open(dir: impl AsRef<std::path::Path>) -> Result<LiveSet, ReadError> {
    LiveSet::open(dir, &reader_options())
}

/// Opens or creates the directory `dir` for a load, which replaces the entries of family 0. For
/// other loads use [`Publisher::into_loader`] with [`bulk_options`].
///
/// The loader holds the lock of the directory until it is dropped. After
/// [`finish`](OwnedBulkLoader::finish) it can be used for another load.
///
/// # Errors
///
/// As [`Publisher::open`].
#[cfg(feature = "write")]
pub fn loader(dir: impl AsRef<std::path::Path>) -> Result<OwnedBulkLoader, PublishError> {
    let publisher = Publisher::open(dir, PublisherOptions::default())?;
    Ok(publisher.into_loader(bulk_options(), &Monitor::default()))
}
