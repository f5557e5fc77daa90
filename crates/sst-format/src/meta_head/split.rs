//! The division of a commit's tables among meta files.

use alloc::vec::Vec;
use core::ops::Range;

use super::headers_len;
use crate::{FormatError, Structure};

/// How much one meta file may hold.
///
/// The end of a filter is a `u32`, and so is the length of the protection section. At 1 % false
/// positives, one meta file has room for the filters of about 3 × 10^9 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaLimits {
    /// Highest number of bytes of filters. Default: 2^32 - 1.
    pub filter_bytes: u64,
    /// Highest number of bytes of copied block headers. Default: 2^31, which leaves as much for the
    /// rest of the section.
    pub header_bytes: u64,
}

impl Default for MetaLimits {
    fn default() -> Self {
        Self { filter_bytes: u32::MAX.into(), header_bytes: 1 << 31 }
    }
}

impl MetaLimits {
    /// Replaces the limit of filters; tests make it small.
    #[must_use]
    pub const fn filter_bytes(mut self, filter_bytes: u64) -> Self {
        self.filter_bytes = filter_bytes;
        self
    }

    /// Replaces the limit of copied block headers.
    #[must_use]
    pub const fn header_bytes(mut self, header_bytes: u64) -> Self {
        self.header_bytes = header_bytes;
        self
    }

    /// Divides the tables of a commit among meta files. O(number of tables).
    ///
    /// Each table is given as the length of its filter in bytes and its number of blocks, in the
    /// order of the commit, which stays. The result has one range of table indices for each meta
    /// file. The last range is that of the newest meta file, and is empty only if there are no
    /// tables. If the tables come in ascending order of hashes, each meta file has one range of
    /// hashes.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if one table exceeds a limit by itself.
    ///
    /// # Example
    ///
    /// ```
    /// use sst_format::meta_head::MetaLimits;
    ///
    /// let limits = MetaLimits::default().filter_bytes(100);
    /// assert_eq!(limits.split([(60, 3), (40, 3), (1, 3)])?, [0..2, 2..3]);
    /// # Ok::<(), sst_format::FormatError>(())
    /// ```
    pub fn split(
        &self,
        tables: impl IntoIterator<Item = (u64, u16)>,
    ) -> Result<Vec<Range<usize>>, FormatError> {
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, 0);
        let (mut filters, mut headers) = (0, 0);
        for (filter_len, block_count) in tables {
            let headers_len = headers_len(block_count);
            for (structure, value, max) in [
                (Structure::Filter, filter_len, self.filter_bytes),
                (Structure::BlockHeaders, headers_len, self.header_bytes),
            ] {
                if value > max {
                    return Err(FormatError::TooLarge { structure, value, max });
                }
            }
            // Both sums are within their limits, so neither can wrap.
            let has_room = filter_len <= self.filter_bytes - filters
                && headers_len <= self.header_bytes - headers;
            if !has_room {
                parts.push(start..end);
                (start, filters, headers) = (end, 0, 0);
            }
            end += 1;
            filters += filter_len;
            headers += headers_len;
        }
        parts.push(start..end);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_full_as_can_be_and_keep_the_order() {
        let limits = MetaLimits::default().filter_bytes(10).header_bytes(5 * 8);
        let only = |part| core::iter::once(part).collect::<Vec<Range<usize>>>();
        assert_eq!(limits.split([]).unwrap(), only(0..0));
        assert_eq!(limits.split([(10, 5)]).unwrap(), only(0..1));
        assert_eq!(limits.split([(5, 1), (5, 1), (0, 3), (0, 1)]).unwrap(), [0..3, 3..4]);
        assert_eq!(limits.split([(6, 1), (5, 1), (6, 1)]).unwrap(), [0..1, 1..2, 2..3]);
        let tables: Vec<(u64, u16)> = (0..100).map(|i| (i % 11, 1)).collect();
        let parts = limits.split(tables.iter().copied()).unwrap();
        assert_eq!(
            parts.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
        for part in parts {
            assert!(part.len() <= 5 && tables[part].iter().map(|table| table.0).sum::<u64>() <= 10);
        }
    }

    #[test]
    fn a_table_above_a_limit_is_refused() {
        let limits = MetaLimits::default().filter_bytes(10).header_bytes(40);
        let structure = Structure::Filter;
        let error = FormatError::TooLarge { structure, value: 11, max: 10 };
        assert_eq!(limits.split([(1, 1), (11, 1)]).unwrap_err(), error);
        let structure = Structure::BlockHeaders;
        let error = FormatError::TooLarge { structure, value: 48, max: 40 };
        assert_eq!(limits.split([(1, 6)]).unwrap_err(), error);
    }
}
