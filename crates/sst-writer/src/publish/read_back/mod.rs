//! Reading back what is on disk: every byte of a table, and what a directory answers from.

pub(crate) mod content_reader;
pub(crate) mod live_entries;
pub(crate) mod stored_blob;
pub(crate) mod stored_entries;
pub(crate) mod stored_table;
pub(crate) mod table_defect;
