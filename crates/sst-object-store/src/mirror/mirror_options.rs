//! Options of a mirror.

use std::time::Duration;

use super::ShardNumber;

/// Options of [`mirror`](crate::mirror), [`push`](crate::push) and [`pull`](crate::pull). Start
/// from the default and change single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// Highest number of files and of pieces of files that are copied at once. Together with
    /// [`MirrorOptions::piece_len`] it bounds the memory. 0 counts as 1. Default: 8.
    pub parallel: usize,
    /// Length of the pieces in which files are read and uploaded, in bytes. S3 accepts no parts
    /// below 5 MiB. Of a file of more than 10,000 pieces, which is the highest number of parts, the
    /// pieces are longer. 0 counts as 1. Default: 8 MiB.
    pub piece_len: u64,
    /// Highest number of bytes that are copied in a second. Default: no limit.
    pub bytes_per_second: Option<u64>,
    /// Whether a target may have a commit that is none of the source's: it is then replaced.
    /// Default: `false`.
    pub replace: bool,
    /// Whether the files that the target has are read and verified, and copied again if their bytes
    /// are not those of their commit. Otherwise only those are copied again that are missing or
    /// have another length. Meta files of the target's newest commit are repaired, too, if the
    /// source has them, and either another meta file of the target or their own last bytes state
    /// their checksum: else it is not known that they are the source's, and only
    /// [`MirrorOptions::replace`] allows it. The meta files of a shard are its own and are not
    /// repaired: copy the shard into a new directory. Default: `false`.
    pub repair: bool,
    /// The shard to copy into a directory, instead of everything. Default: everything.
    pub shard: Option<ShardNumber>,
    /// Number of generations before the newest whose files stay in a directory, for a rollback.
    /// Objects in a bucket stay until [`collect_garbage`](crate::collect_garbage) removes them.
    /// Default: 1.
    pub keep_generations: usize,
    /// Time after which the claim of a writer of a bucket that has crashed no longer counts.
    /// Default: 1 day.
    pub grace: Duration,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            parallel: 8,
            piece_len: 8 << 20,
            bytes_per_second: None,
            replace: false,
            repair: false,
            shard: None,
            keep_generations: 1,
            grace: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl MirrorOptions {
    /// Sets the highest number of files and pieces that are copied at once.
    #[must_use]
    pub fn parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// Sets the length of the pieces in bytes.
    #[must_use]
    pub fn piece_len(mut self, piece_len: u64) -> Self {
        self.piece_len = piece_len;
        self
    }

    /// Sets the highest number of bytes that are copied in a second.
    #[must_use]
    pub fn bytes_per_second(mut self, bytes_per_second: Option<u64>) -> Self {
        self.bytes_per_second = bytes_per_second;
        self
    }

    /// Sets whether a commit of another history may be replaced.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Sets whether the files that the target has are verified, and copied again if they are
    /// damaged.
    #[must_use]
    pub fn repair(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }

    /// Sets the shard to copy.
    #[must_use]
    pub fn shard(mut self, shard: Option<ShardNumber>) -> Self {
        self.shard = shard;
        self
    }

    /// Sets the number of earlier generations whose files stay in a directory.
    #[must_use]
    pub fn keep_generations(mut self, keep_generations: usize) -> Self {
        self.keep_generations = keep_generations;
        self
    }

    /// Sets the time after which the claim of a crashed writer no longer counts.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The length of the pieces of a file.
    pub(super) fn piece_len_of(&self, file_len: u64) -> u64 {
        self.piece_len.max(file_len.div_ceil(MAX_PARTS)).max(1)
    }
}

/// Highest number of parts of an upload, in all stores.
const MAX_PARTS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_has_too_many_pieces() {
        let options = MirrorOptions::default();
        assert_eq!(options.piece_len_of(1), 8 << 20);
        let large = 1 << 40;
        assert!(large / options.piece_len_of(large) <= MAX_PARTS);
        assert_eq!(options.piece_len(0).piece_len_of(0), 1);
    }
}
