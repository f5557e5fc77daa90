//! A directory of tables, seen as of one commit.

mod blob;
mod catalog;
mod catalog_table;
mod certificate;
mod filter_matrix;
mod identity;
mod layer;
mod layer_cursor;
mod live_set;
mod loaded_meta;
mod lone_table;
mod meta_source;
mod multi_get;
mod open_files;
mod set_cursor;
mod set_iter;
mod set_matches;
mod set_table;
mod sst_set;
mod statistics;
mod table_cursor;
mod tournament;

pub(crate) use blob::decode as decode_blob;
pub use catalog::Catalog;
pub(crate) use catalog::{path_of, read_whole};
pub use catalog_table::CatalogTable;
pub(crate) use identity::read_current;
pub use live_set::LiveSet;
pub use set_cursor::SetCursor;
pub use set_iter::SetIter;
pub use set_matches::SetMatches;
pub use sst_set::SstSet;
pub use statistics::SetStatistics;
pub use tournament::Tournament;
