//! The fuzz targets. Each takes any bytes and panics if a promise is broken.
//!
//! There are two drivers. libFuzzer is guided by coverage; its binaries are in the workspace
//! `fuzz/`, and it needs a nightly compiler and cargo-fuzz. [`drive`] runs on any machine: it tries
//! the corpus, then random edits of it. `cargo xtask fuzz` runs both. See docs/FUZZING.md.

mod drive;
mod edit;
mod input;
pub mod repair;
mod seeds;
mod target;
mod targets;

pub use drive::{Budget, DriveReport, drive};
pub use seeds::{committed, corpus, from_vectors};
pub use target::{TARGETS, Target};

// Listed by name, so that the compiler checks that every binary in `fuzz/` has its target.
pub use targets::answers::run as answers;
pub use targets::block::run as block;
pub use targets::current::run as current;
pub use targets::del_file::run as del_file;
pub use targets::directory::run as directory;
pub use targets::explain::run as explain;
pub use targets::file_name::run as file_name;
pub use targets::filter::run as filter;
pub use targets::filter_build::run as filter_build;
pub use targets::index_block::run as index_block;
pub use targets::input::run as input;
pub use targets::key_block::run as key_block;
pub use targets::live::run as live;
pub use targets::meta_file::run as meta_file;
pub use targets::offset_table::run as offset_table;
pub use targets::publish::run as publish;
pub use targets::table::run as table;
pub use targets::value_ref::run as value_ref;
pub use targets::write_read::run as write_read;
