#![doc = include_str!("../README.md")]

mod block_cache;
mod block_directory;
mod blocks;
mod cursor;
mod error;
mod hash;
mod inspect;
mod lookup;
mod matches;
mod memory;
mod options;
mod search;
mod set;
mod slice;
mod source;
mod static_sorted_file;
mod verify;

pub use block_cache::BlockCache;
pub use cursor::{Cursor, EntryRef, Iter, IterEntry};
pub use error::{Corruption, FileLabel, ReadError};
pub use hash::hash_key;
pub use inspect::{BlockInfo, BlockRole, TableInfo};
pub use lookup::{EntryValue, Lookup};
pub use matches::Matches;
pub use options::{Access, ReaderOptions};
pub use set::{Catalog, CatalogTable, SetIter, SstSet};
pub use slice::Slice;
pub use static_sorted_file::StaticSortedFile;
pub use verify::{VerifyProgress, VerifyReport, verify_directory};
