//! Bulk loads: their input, and what one run takes.

mod input;
mod taken;

pub use input::{Input, KEY_LEN, RECORD_LEN};
pub use taken::Taken;
