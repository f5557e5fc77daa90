//! Certificates: a commit states a digest of its live entries, once these were read back from the
//! device (FORMAT.md section 12).

mod certification;
pub(crate) mod merged_in_place;
pub(crate) mod read_back;
mod task;

pub use certification::{certify, publish};
pub use task::certify_task;
