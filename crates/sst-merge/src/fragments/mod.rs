//! Fragments: tables that were written elsewhere become part of a commit (FORMAT.md section 13).

mod fragment;
mod gatherer;
mod rewritten_table;

pub use gatherer::{FragmentInfo, Gatherer};
pub use sst_writer::publish::FragmentOverlap;
