//! Hostile files: everything that carries a checksum has the right one, and nothing else is true. A reader answers or
//! gives an error; it never panics, never goes on without end, and never takes more memory than 255 times what is stored.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests say what they expect by failing"
)]

#[path = "hostile/allocations.rs"]
mod allocations;
#[path = "hostile/directories.rs"]
mod directories;
#[path = "hostile/filters.rs"]
mod filters;
#[path = "hostile/mutants.rs"]
mod mutants;
#[path = "hostile/parts.rs"]
mod parts;
#[path = "hostile/tables.rs"]
mod tables;

#[expect(dead_code, reason = "each file of tests uses its own part of what they share")]
mod common;
