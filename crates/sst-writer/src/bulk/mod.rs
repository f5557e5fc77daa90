//! Bulk loading: records in any order become tables with disjoint ranges of hashes.
//!
//! Their number may exceed the memory.
//!
//! ```text
//! BulkHandle   puts records into open chunks, one for each bucket (the first 8 bits of the hash)
//!     │
//! ChunkStore   keeps full chunks in memory as long as the budget allows, and spills them beyond it
//!     │
//! WritePhase   threads take ranges of hashes; each bucket is sorted (SortedBucket, or RunMerge if
//!     │        it is too large), KeyGroup resolves duplicates, TableSequence cuts tables
//!     │
//! Commit       tables and blobs get their numbers in the order of their hashes and positions, and
//!              go live together
//! ```
//!
//! The end of each table follows from all records put and the options alone. So the files are the
//! same for any budget, any number of threads and any way in which they took turns.

pub(crate) mod blob_writer;
pub(crate) mod budget;
pub(crate) mod bulk_error;
pub(crate) mod bulk_handle;
pub(crate) mod bulk_loader;
pub(crate) mod bulk_options;
mod chunk_store;
mod duplicates;
pub(crate) mod input_position;
mod key_group;
mod load_file;
pub(crate) mod owned_bulk_loader;
pub(crate) mod prepared_load;
mod record;
mod record_sink;
mod refused;
pub(crate) mod remote_loader;
mod resolver;
mod run_merge;
mod shared;
mod sorted_bucket;
mod spill_file;
mod spool;
mod table_sequence;
pub(crate) mod unnumbered_blobs;
mod write_phase;

pub use blob_writer::BlobWriter;
pub use bulk_error::BulkError;
pub use bulk_handle::BulkHandle;
pub use bulk_loader::{BulkLoader, BulkSummary};
pub use bulk_options::{BulkMode, BulkOptions};
pub use duplicates::Duplicates;
pub use input_position::InputPosition;
pub use owned_bulk_loader::OwnedBulkLoader;
pub use prepared_load::PreparedLoad;
pub use refused::RefusedRecord;
pub use remote_loader::{RemoteLoad, RemoteLoader};
