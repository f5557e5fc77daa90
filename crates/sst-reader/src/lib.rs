#![doc = include_str!("../README.md")]

mod block;
mod diagnosis;
mod error;
mod file_store;
mod hash;
mod options;
mod set;
mod table;
mod telemetry;
mod verify;

pub use block::block_cache::BlockCache;
pub use block::cache_statistics::CacheStatistics;
pub use block::slice::Slice;
pub use block::source::Access;
pub use diagnosis::{Diagnosis, FlippedBit, Origin};
pub use error::{Corruption, FileLabel, ReadError};
pub use file_store::{FileStore, FileStoreError, RangedFile};
pub use hash::{hash_key, sha256};
pub use options::ReaderOptions;
pub use set::{
    Catalog, CatalogTable, LiveEntries, LiveSet, SetCursor, SetEntries, SetIter, SetMatches,
    SetStatistics, SstSet, Tournament,
};
pub use sst_format::monitor::{CancelToken, Cancelled, Meter, Monitor, Phase, Progress};
pub use table::affected::Affected;
pub use table::answer::{Lookup, ReadValue};
pub use table::cursor::{Cursor, Iter, IterEntry};
pub use table::entry_ref::EntryRef;
pub use table::inspect::{BlockInfo, BlockRole, TableInfo};
pub use table::matches::Matches;
pub use table::static_sorted_file::StaticSortedFile;
pub use verify::{VerifyReport, verify_directory};
