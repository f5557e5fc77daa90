//! From the bytes of a file to checked, uncompressed blocks.

pub(crate) mod block_cache;
pub(crate) mod block_directory;
pub(crate) mod blocks;
pub(crate) mod cache_statistics;
pub(crate) mod cached_block;
pub(crate) mod clock;
pub(crate) mod codec;
mod huge_pages;
pub(crate) mod kept_slices;
pub(crate) mod memory;
#[cfg(all(test, loom))]
mod model;
pub(crate) mod residency;
pub(crate) mod slice;
pub(crate) mod source;
pub(crate) mod sync;
mod syndrome;
pub(crate) mod triage;
