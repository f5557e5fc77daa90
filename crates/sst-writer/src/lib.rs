//! Streaming writer and publisher of static sorted tables.

#![forbid(unsafe_code)]

mod atomic_file;
mod blob_file;
mod block_sink;
mod commit;
mod directory_state;
mod entry;
#[cfg(test)]
mod faulty_file_system;
mod file_error;
mod file_system;
mod filter_feed;
mod key_block_boundaries;
mod pending_entries;
mod publish_error;
mod publisher;
mod publisher_options;
mod raw_block;
mod short_key;
mod sink;
mod small_value_block;
mod streaming_sst_writer;
mod sync_watch;
mod table_writer;
mod write_error;
mod writer_options;

pub use atomic_file::AtomicFile;
pub use blob_file::{BlobFile, write_blob_file};
pub use commit::{Commit, CommitInfo};
pub use entry::{Entry, EntryValue, ValueTooLarge, hash_key};
pub use file_error::{FileError, FileOperation};
pub use publish_error::PublishError;
pub use publisher::Publisher;
pub use publisher_options::PublisherOptions;
pub use short_key::ShortKey;
pub use sink::Sink;
pub use streaming_sst_writer::{Finished, StreamingSstWriter, write_static_sorted_file};
pub use table_writer::{FinishedTable, TableWriter};
pub use write_error::{RawBlockDefect, WriteError};
pub use writer_options::{Compression, WriterOptions};
