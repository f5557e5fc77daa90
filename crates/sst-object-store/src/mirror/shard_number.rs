//! The number of a shard.

use std::fmt;
use std::str::FromStr;

use sst_format::meta_head::HashRange;

/// One of several shards with equal ranges of hashes: those of `sst_merge::ShardMap::by_hash`.
///
/// # Examples
///
/// ```
/// use sst_object_store::ShardNumber;
///
/// let second: ShardNumber = "1/3".parse()?;
/// assert_eq!(Some(second), ShardNumber::new(1, 3));
/// assert!("3/3".parse::<ShardNumber>().is_err());
/// # Ok::<(), sst_object_store::BadShardNumber>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardNumber {
    index: u32,
    count: u32,
    hashes: HashRange,
}

/// A text is no number of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected I/N: the number of a shard, from 0, and the number of shards, such as 0/3")]
pub struct BadShardNumber;

impl ShardNumber {
    /// Shard `index` of `count`. `None` unless `index` is below `count`.
    #[must_use]
    pub fn new(index: u32, count: u32) -> Option<Self> {
        HashRange::of_shard(index, count).map(|hashes| Self { index, count, hashes })
    }

    /// The number, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The number of shards.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The hashes of the shard.
    #[must_use]
    pub const fn hashes(self) -> HashRange {
        self.hashes
    }
}

impl FromStr for ShardNumber {
    type Err = BadShardNumber;

    fn from_str(text: &str) -> Result<Self, BadShardNumber> {
        let (index, count) = text.split_once('/').ok_or(BadShardNumber)?;
        let number = |text: &str| text.parse().map_err(|_| BadShardNumber);
        Self::new(number(index)?, number(count)?).ok_or(BadShardNumber)
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
