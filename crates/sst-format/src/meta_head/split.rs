//! The division of a commit's tables among meta files.

use alloc::vec::Vec;
use core::ops::Range;

use super::{HashRange, headers_len};
use crate::protection_records::BLOB_LEN;
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
    /// Highest number of bytes of the list of blobs. Default: 2^30.
    pub blob_bytes: u64,
    /// Highest number of bytes of the records of tables. Default: 2^29. The rest of the section
    /// has room for 19 million live meta files.
    pub record_bytes: u64,
}

/// The number of bytes that a meta file has about each table in records: 38 in its start, and 16
/// and at most 4 in its core.
const RECORD_LEN: u64 = 58;

/// The sizes of one table that matter to the division of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// The hashes of its first and its last entry.
    pub hashes: HashRange,
    /// Length of its filter in bytes.
    pub filter_len: u64,
    /// Number of its blocks.
    pub block_count: u16,
    /// Number of blobs to which it refers.
    pub blob_count: u64,
}

impl Default for MetaLimits {
    fn default() -> Self {
        Self {
            filter_bytes: u32::MAX.into(),
            header_bytes: 1 << 31,
            blob_bytes: 1 << 30,
            record_bytes: 1 << 29,
        }
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

    /// Replaces the limit of the list of blobs.
    #[must_use]
    pub const fn blob_bytes(mut self, blob_bytes: u64) -> Self {
        self.blob_bytes = blob_bytes;
        self
    }

    /// Replaces the limit of the records of tables.
    #[must_use]
    pub const fn record_bytes(mut self, record_bytes: u64) -> Self {
        self.record_bytes = record_bytes;
        self
    }

    /// Divides the tables of a commit, given in its order, among meta files. O(n log n) for n
    /// tables.
    ///
    /// The result has the indices of the tables of each meta file. The last one is the newest meta
    /// file, and is empty only if there are no tables.
    ///
    /// If one meta file has room for all tables, they keep their order. Otherwise they come in
    /// ascending order of hashes as far as the rule allows that newer tables win: of two tables
    /// whose ranges of hashes overlap, the later one stays the later one. So tables are moved in
    /// groups, each the tables that overlap, directly or through others. Two groups share no hash,
    /// and a meta file gets whole groups. So the ranges of hashes of the meta files do not overlap,
    /// but for those of a group that one meta file has no room for.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if one table exceeds a limit by itself.
    ///
    /// # Example
    ///
    /// ```
    /// use sst_format::meta_head::{HashRange, MetaLimits, TableSize};
    ///
    /// let table = |min, max, filter_len| TableSize {
    ///     hashes: HashRange { min, max },
    ///     filter_len,
    ///     block_count: 3,
    ///     blob_count: 0,
    /// };
    /// let limits = MetaLimits::default().filter_bytes(100);
    /// // The last table may hide entries of the first one, so the two stay together.
    /// let tables = [table(5, 6, 60), table(1, 2, 90), table(6, 8, 30)];
    /// assert_eq!(limits.split(&tables)?, [vec![1], vec![0, 2]]);
    /// # Ok::<(), sst_format::FormatError>(())
    /// ```
    pub fn split(&self, tables: &[TableSize]) -> Result<Vec<Vec<usize>>, FormatError> {
        tables.iter().try_for_each(|table| Usage::of(table).check(self))?;
        let all = tables.iter().map(Usage::of).fold(Usage::default(), Usage::with);
        if all.fits(self) {
            return Ok(alloc::vec![(0..tables.len()).collect()]);
        }
        let usage = |index: &usize| tables.get(*index).map_or_else(Usage::default, Usage::of);
        let (mut parts, mut part, mut used) = (Vec::new(), Vec::new(), Usage::default());
        for group in groups(tables) {
            let whole = group.iter().map(usage).fold(Usage::default(), Usage::with);
            // A group that no meta file has room for is divided in its order.
            let piece_len = if whole.fits(self) { group.len() } else { 1 };
            for piece in group.chunks(piece_len) {
                let added = piece.iter().map(usage).fold(Usage::default(), Usage::with);
                if !used.with(added).fits(self) {
                    parts.push(core::mem::take(&mut part));
                    used = Usage::default();
                }
                part.extend_from_slice(piece);
                used = used.with(added);
            }
        }
        parts.push(part);
        Ok(parts)
    }
}

/// The groups of tables whose ranges of hashes overlap, directly or through others, in ascending
/// order of hashes. Within a group the tables are in their own order.
fn groups(tables: &[TableSize]) -> Vec<Vec<usize>> {
    let mut by_hash: Vec<(usize, HashRange)> =
        tables.iter().map(|table| table.hashes).enumerate().collect();
    by_hash.sort_by_key(|(index, hashes)| (hashes.min, *index));
    let mut groups: Vec<(Vec<usize>, Range<u64>)> = Vec::new();
    for (index, hashes) in by_hash {
        match groups.last_mut() {
            // The groups ascend, so only the last one can share a hash with this table.
            Some((group, range)) if hashes.min <= range.end => {
                group.push(index);
                range.end = range.end.max(hashes.max);
            }
            _ => groups.push((alloc::vec![index], hashes.min..hashes.max)),
        }
    }
    let sorted = groups.into_iter().map(|(mut group, _)| {
        group.sort_unstable();
        group
    });
    sorted.collect()
}

/// The room that tables take in a meta file, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    filters: u64,
    headers: u64,
    blobs: u64,
    records: u64,
}

impl Usage {
    fn of(table: &TableSize) -> Self {
        Self {
            filters: table.filter_len,
            headers: headers_len(table.block_count),
            // Saturates above every limit.
            blobs: table.blob_count.saturating_mul(BLOB_LEN as u64),
            records: RECORD_LEN,
        }
    }

    /// The sum of both, which saturates above every limit.
    const fn with(self, other: Self) -> Self {
        Self {
            filters: self.filters.saturating_add(other.filters),
            headers: self.headers.saturating_add(other.headers),
            blobs: self.blobs.saturating_add(other.blobs),
            records: self.records.saturating_add(other.records),
        }
    }

    /// Each kind of bytes with its limit.
    const fn against(&self, limits: &MetaLimits) -> [(Structure, u64, u64); 4] {
        [
            (Structure::Filter, self.filters, limits.filter_bytes),
            (Structure::BlockHeaders, self.headers, limits.header_bytes),
            (Structure::BlobList, self.blobs, limits.blob_bytes),
            (Structure::MetaFile, self.records, limits.record_bytes),
        ]
    }

    fn fits(&self, limits: &MetaLimits) -> bool {
        self.against(limits).iter().all(|(_, value, max)| value <= max)
    }

    fn check(&self, limits: &MetaLimits) -> Result<(), FormatError> {
        let above = self.against(limits).into_iter().find(|(_, value, max)| value > max);
        above.map_or(Ok(()), |(structure, value, max)| {
            Err(FormatError::TooLarge { structure, value, max })
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// A table with these hashes and this length of its filter, of one block.
    fn table(min: u64, max: u64, filter_len: u64) -> TableSize {
        let hashes = HashRange { min, max };
        TableSize { hashes, filter_len, block_count: 1, blob_count: 0 }
    }

    #[test]
    fn parts_are_as_full_as_can_be_and_ascend() {
        let limits = MetaLimits::default().filter_bytes(10).header_bytes(5 * 8);
        let split = |tables: &[TableSize]| limits.split(tables).unwrap();
        assert_eq!(split(&[]), [[]; 1]);
        // One meta file has room: the order stays, whatever it is.
        assert_eq!(split(&[table(9, 9, 5), table(1, 1, 5)]), [[0, 1]]);
        let size = |index: u64, filter_len| table(index * 10, index * 10 + 9, filter_len);
        let tables: Vec<_> = (0..100).map(|i| size(i, i % 11)).collect();
        let parts = split(&tables);
        assert_eq!(parts.concat(), (0..100).collect::<Vec<_>>());
        for part in parts {
            let filters = part.iter().map(|index| tables[*index].filter_len);
            assert!(part.len() <= 5 && filters.sum::<u64>() <= 10);
        }
        // The same tables in another order: none overlaps, so they are sorted.
        let turned: Vec<_> = tables.iter().rev().copied().collect();
        let found: Vec<_> = split(&turned).concat().iter().map(|index| 99 - index).collect();
        assert_eq!(found, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn every_kind_of_bytes_is_limited() {
        let two = [table(1, 1, 5), table(2, 2, 5)];
        let with_blobs = two.map(|table| TableSize { blob_count: 3, ..table });
        let all = MetaLimits::default();
        for (limits, tables) in [
            (all.filter_bytes(9), two),
            (all.header_bytes(15), two),
            (all.blob_bytes(119), with_blobs),
            (all.record_bytes(115), two),
        ] {
            assert_eq!(limits.split(&tables).unwrap(), [[0], [1]]);
        }
        let just = all.filter_bytes(10).header_bytes(16).blob_bytes(120).record_bytes(116);
        assert_eq!(just.split(&with_blobs).unwrap(), [[0, 1]]);
    }

    #[test]
    fn a_table_above_a_limit_is_refused() {
        let all = MetaLimits::default();
        let large = TableSize { block_count: 6, blob_count: 2, ..table(1, 1, 11) };
        for (limits, structure, value, max) in [
            (all.filter_bytes(10), Structure::Filter, 11, 10),
            (all.header_bytes(40), Structure::BlockHeaders, 48, 40),
            (all.blob_bytes(39), Structure::BlobList, 40, 39),
        ] {
            let error = FormatError::TooLarge { structure, value, max };
            assert_eq!(limits.split(&[table(1, 1, 1), large]).unwrap_err(), error);
        }
    }

    #[test]
    fn ranges_overlap_only_where_the_order_demands_it() {
        let limits = MetaLimits::default().filter_bytes(100);
        // Two groups, {1, 3} and {0, 2, 4}: 0 and 4 overlap through 2 only.
        let tables = [
            table(50, 60, 40),
            table(10, 20, 30),
            table(60, 70, 10),
            table(20, 30, 30),
            table(70, 80, 40),
        ];
        assert_eq!(limits.split(&tables).unwrap(), [vec![1, 3], vec![0, 2, 4]]);
        // The first group has no room in one meta file. It is divided in its own order.
        let huge = [table(0, 9, 60), table(5, 15, 60), table(90, 91, 30), table(3, 4, 30)];
        assert_eq!(limits.split(&huge).unwrap(), [vec![0], vec![1, 3], vec![2]]);
    }

    /// Random tables: no table is lost, of two that overlap the later one stays the later one, and
    /// meta files share a hash only if a group is too large for one.
    #[test]
    fn random_tables_keep_their_order_where_they_overlap() {
        let mut state = 7_u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        for _ in 0..2000 {
            let count = 1 + below(12);
            let tables: Vec<TableSize> = (0..count)
                .map(|_| {
                    let min = below(100);
                    table(min, min + below(20), 1 + below(10))
                })
                .collect();
            let limits = MetaLimits::default().filter_bytes(10 + below(30));
            let parts = limits.split(&tables).unwrap();
            let order = parts.concat();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..tables.len()).collect::<Vec<_>>());
            for (place, later) in order.iter().enumerate() {
                for earlier in &order[..place] {
                    let overlap = tables[*earlier].hashes.overlaps(tables[*later].hashes);
                    assert!(!overlap || earlier < later, "{tables:?}: {order:?}");
                }
            }
            let is_large = |group: &Vec<usize>| {
                group.iter().map(|index| tables[*index].filter_len).sum::<u64>()
                    > limits.filter_bytes
            };
            if parts.len() > 1 && !groups(&tables).iter().any(is_large) {
                let hashes = |part: &Vec<usize>| {
                    let ranges = part.iter().map(|index| tables[*index].hashes);
                    ranges.fold(HashRange::EMPTY, HashRange::union)
                };
                let ranges: Vec<_> = parts.iter().map(hashes).collect();
                assert!(ranges.windows(2).all(|pair| pair[0].max < pair[1].min), "{ranges:?}");
            }
        }
    }
}
