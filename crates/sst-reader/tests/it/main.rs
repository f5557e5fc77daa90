//! The reader at its public API. Damage in bulk, hostile files and faults are in `torture/`; the
//! reference vectors are read in `tests/vectors.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod asked_blocks;
mod damage;
mod directories;
mod many_layers;
mod sets;
mod special_files;
mod support;
mod tables;
mod walks;
