//! Counts of the work of a block cache.

/// The loads of a block cache and its size. See
/// [`BlockCache::statistics`](crate::BlockCache::statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Blocks that were not in the cache: verified and, where they are compressed, decompressed.
    /// Blocks found in it are not counted: they are taken without a write to memory that processors
    /// share. Blocks of a memory map that are stored raw are loaded once and then used where they
    /// lie.
    pub blocks_loaded: u64,
    /// Bytes of these blocks as they are stored.
    pub bytes_loaded: u64,
    /// Bytes of these blocks after decompression.
    pub bytes_uncompressed: u64,
    /// Bytes that the cache holds now.
    pub used: u64,
    /// Bytes that it may hold.
    pub capacity: u64,
}
