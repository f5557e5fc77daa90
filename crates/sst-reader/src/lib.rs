#![doc = include_str!("../README.md")]

mod affected;
mod block;
mod diagnosis;
mod error;
mod hash;
mod options;
mod set;
mod table;
mod telemetry;
mod verify;

pub use affected::Affected;
pub use block::block_cache::BlockCache;
pub use block::cache_statistics::CacheStatistics;
pub use block::slice::Slice;
pub use diagnosis::{Diagnosis, FlippedBit, Origin};
pub use error::{Corruption, FileLabel, ReadError};
pub use hash::hash_key;
pub use options::{Access, ReaderOptions};
pub use set::{Catalog, CatalogTable, LiveSet, SetIter, SetStatistics, SstSet};
pub use sst_format::monitor::{CancelToken, Cancelled, Meter, Monitor, Phase, Progress};
pub use table::cursor::{Cursor, EntryRef, Iter, IterEntry};
pub use table::inspect::{BlockInfo, BlockRole, TableInfo};
pub use table::lookup::{EntryValue, Lookup};
pub use table::matches::Matches;
pub use table::static_sorted_file::StaticSortedFile;
pub use verify::{VerifyReport, verify_directory};
