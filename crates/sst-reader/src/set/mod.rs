//! A directory of tables, seen as of one commit.

mod blob;
mod catalog;
mod merge;
mod sst_set;

pub(crate) use blob::decode as decode_blob;
pub use catalog::{Catalog, CatalogTable};
pub use merge::SetIter;
pub use sst_set::SstSet;
