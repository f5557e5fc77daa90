//! The targets, one file each.

pub(crate) mod answers;
pub(crate) mod block;
pub(crate) mod current;
pub(crate) mod del_file;
pub(crate) mod directory;
pub(crate) mod explain;
pub(crate) mod file_name;
pub(crate) mod filter;
pub(crate) mod filter_build;
pub(crate) mod index_block;
pub(crate) mod input;
pub(crate) mod key_block;
pub(crate) mod live;
pub(crate) mod meta_file;
pub(crate) mod model;
pub(crate) mod offset_table;
pub(crate) mod publish;
pub(crate) mod table;
pub(crate) mod value_ref;
pub(crate) mod write_read;
