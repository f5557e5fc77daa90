//! Directories of tables: what a commit makes visible, and how.

pub(crate) mod commit;
pub(crate) mod directory_state;
pub(crate) mod publish_error;
pub(crate) mod publisher;
pub(crate) mod publisher_options;
pub(crate) mod table_writer;
