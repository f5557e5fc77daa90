//! Single cases with names: those that once failed, and those quick enough for `cargo test`. The
//! suites of the library run similar cases by the million.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests say what they expect by failing"
)]

mod bounds;
mod defects;
mod faults;
mod hostile;
mod lost_keys;
mod no_memory;
mod sets;
mod survey;
mod syncs;
