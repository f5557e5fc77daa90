//! Bulk loads: their input, and the time and memory of one run.

mod input;
mod taken;

pub use input::{Input, KEY_LEN, RECORD_LEN};
pub use taken::Taken;
