//! Checks of the bytes of files against their commit, while they pass by.

mod blob_check;
mod file_check;
mod meta_check;
mod table_check;

pub(crate) use blob_check::BlobCheck;
pub(crate) use file_check::{Defect, FileCheck};
pub(crate) use meta_check::MetaCheck;
pub(crate) use table_check::TableCheck;
