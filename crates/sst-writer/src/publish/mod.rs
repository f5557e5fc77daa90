//! Directories of tables: what a commit makes visible, and how.

pub(crate) mod commit;
pub(crate) mod directory_state;
pub(crate) mod generation;
pub(crate) mod lock_holder;
pub(crate) mod publish_error;
pub(crate) mod publisher;
pub(crate) mod publisher_options;
pub(crate) mod read_back;
mod retention;
mod rollback;
pub(crate) mod table_writer;
