//! Runs: tables with disjoint ranges of hashes, walked one after the other.

mod run;
mod run_cursor;
mod table_input;

pub(crate) use run::Run;
pub(crate) use run_cursor::{CurrentEntry, RunCursor};
pub(crate) use table_input::TableInput;
