//! Bulk loads: their input, and the time and memory of one run.

mod cost;
mod input;

pub use cost::Cost;
pub use input::{Input, KEY_LEN, RECORD_LEN};
