//! The writer of one table.

pub(crate) mod block_writer;
pub(crate) mod description;
pub(crate) mod entry;
pub(crate) mod entry_checks;
pub(crate) mod entry_digester;
pub(crate) mod filter_feed;
pub(crate) mod finished;
pub(crate) mod key_block_boundaries;
pub(crate) mod key_block_builder;
pub(crate) mod pending_entries;
pub(crate) mod short_key;
pub(crate) mod small_value_block;
pub(crate) mod streaming_sst_writer;
pub(crate) mod table_builder;
pub(crate) mod write_error;
pub(crate) mod writer_options;

pub use crate::codec::StoredBlockDefect;
pub use description::{write_description, write_description_in};
pub use entry::{Entry, EntryValue, HashedEntry, HashedKey, ValueTooLarge, hash_key};
pub use entry_digester::TableDigest;
pub use finished::Finished;
pub use short_key::ShortKey;
pub use streaming_sst_writer::{StreamingSstWriter, write_static_sorted_file};
pub use write_error::WriteError;
pub use writer_options::{Compression, WriterOptions};
