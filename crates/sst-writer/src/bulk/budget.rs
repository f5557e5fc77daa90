//! The division of a load's memory.

use sst_format::limits::{MAX_BLOCK_COUNT, MAX_TARGET_BLOCK_SIZE, PENDING_BUDGET};

use crate::WriterOptions;

/// Number of buckets: one for each value of the first bits of a hash.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;
/// Number of first bits of a hash that give its bucket.
pub(crate) const BUCKET_BITS: u32 = 8;

/// Smallest budget, in bytes.
const MIN_BUDGET: usize = 4 << 20;
/// Memory of a writer for each block of its table, in bytes; this constant and the next four are
/// the lines of the table in the documentation of
/// [`StreamingSstWriter`](crate::StreamingSstWriter).
const WRITER_LEN_PER_BLOCK: u64 = 52;
/// Memory of a writer for pending entries and one key block of the default size, in bytes.
const PENDING_LEN: u64 = 2 * PENDING_BUDGET as u64;
/// Memory of a writer for buffers, in bytes.
const BUFFERS_LEN: u64 = 1 << 20;
/// Memory of a writer as a multiple of the size of value blocks: the block, the spare capacity of
/// its vector, and its compressed form.
const VALUE_BLOCKS: u64 = 3;
/// Memory of a writer as a multiple of the size of key blocks: as for value blocks, and the entries
/// of the block before they are encoded.
const KEY_BLOCKS: u64 = 5;
/// Memory of a filter for each entry of the table being written, in bytes: the hashes that it
/// collects, and its bytes while they are built.
const FILTER_LEN_PER_ENTRY: u64 = 8;
/// Memory of the filters of finished tables for each entry, in bits.
const FINISHED_FILTER_BITS_PER_ENTRY: u64 = 20;
/// Smallest memory that a thread gets for sorting, in bytes.
const MIN_SORT_LEN: usize = 1 << 20;
/// Memory that sorting takes for each record besides the record itself, in bytes.
pub(crate) const SORT_LEN_PER_RECORD: u64 = 16;

/// Memory of a table being written without its filter, in bytes, for as many blocks as a table can
/// have.
fn writer_len(options: &WriterOptions) -> u64 {
    let size = |size: usize| size.min(MAX_TARGET_BLOCK_SIZE) as u64;
    WRITER_LEN_PER_BLOCK * u64::from(MAX_BLOCK_COUNT)
        + PENDING_LEN
        + BUFFERS_LEN
        + VALUE_BLOCKS * size(options.value_block_size)
        + KEY_BLOCKS * size(options.key_block_size)
}

/// The bucket of a hash.
#[inline]
pub(crate) const fn bucket_of(hash: u64) -> usize {
    (hash >> (u64::BITS - BUCKET_BITS)) as usize
}

/// The memory of a load while records are put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The whole budget in bytes.
    pub(crate) len: usize,
    /// Length of a chunk of records in bytes.
    pub(crate) chunk_len: usize,
    /// Length in bytes from which on a value is stored apart from its record.
    pub(crate) detached_len: usize,
}

impl Budget {
    /// Divides `len` bytes. Each handle keeps one chunk open for each bucket, which makes an eighth
    /// of the budget.
    pub(crate) fn new(len: usize) -> Self {
        let len = len.max(MIN_BUDGET);
        let chunk_len = (len / (8 * BUCKETS)).clamp(2 << 10, 256 << 10);
        Self { len, chunk_len, detached_len: chunk_len / 2 }
    }
}

/// The sums over all records that were put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) records: u64,
    /// Bytes of keys and values.
    pub(crate) bytes: u64,
}

/// The memory of a load while tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteBudget {
    /// Bytes of records that may stay in memory when writing starts.
    pub(crate) resident_len: usize,
    /// Bytes that each thread may use for sorting. A bucket that needs more is sorted in runs.
    pub(crate) sort_len: usize,
}

impl WriteBudget {
    /// Divides the budget among `threads` threads, each of which writes tables of `table_entries`
    /// entries with these options. `largest_bucket` is the memory that sorting the largest bucket
    /// takes, in bytes.
    pub(crate) fn new(
        budget: Budget,
        threads: usize,
        totals: Totals,
        (table_entries, writer): (u64, &WriterOptions),
        largest_bucket: u64,
    ) -> Self {
        let filters = u64::from(writer.filter.is_some());
        let filter_len = filters * FILTER_LEN_PER_ENTRY * table_entries;
        let writers = threads as u64 * (writer_len(writer) + filter_len);
        let finished = filters * totals.records / 8 * FINISHED_FILTER_BITS_PER_ENTRY;
        let free = budget.len.saturating_sub(to_len(writers + finished));
        let sort_len = (free / threads).min(to_len(largest_bucket)).max(MIN_SORT_LEN);
        Self { resident_len: free.saturating_sub(sort_len * threads), sort_len }
    }
}

fn to_len(bytes: u64) -> usize {
    // A length that does not fit `usize` is larger than any budget.
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_a_handle_take_an_eighth_of_the_budget() {
        for len in [4 << 20, 32 << 20, 256 << 20, 512 << 20] {
            let budget = Budget::new(len);
            assert_eq!(budget.chunk_len * BUCKETS * 8, len);
        }
        assert_eq!(Budget::new(0), Budget::new(4 << 20));
        assert_eq!(Budget::new(usize::MAX).chunk_len, 256 << 10);
    }

    #[test]
    fn shares_never_exceed_the_budget_but_for_the_least_there_must_be() {
        let totals = Totals { records: 10_000_000, bytes: 1_160_000_000 };
        for len in [4_usize << 20, 32 << 20, 256 << 20, 2 << 30] {
            for threads in [1, 2, 16] {
                for bucket in [0, 5 << 20, 1 << 40] {
                    let budget = Budget::new(len);
                    let writer = WriterOptions::default();
                    let tables = (1_250_000, &writer);
                    let shares = WriteBudget::new(budget, threads, totals, tables, bucket);
                    let sum = shares.resident_len + threads * shares.sort_len;
                    assert!(sum <= len.max(threads * MIN_SORT_LEN), "{shares:?}");
                }
            }
        }
        let all = |writer: &WriterOptions| {
            WriteBudget::new(Budget::new(2 << 30), 2, totals, (1 << 20, writer), 5 << 20)
        };
        let all_default = all(&WriterOptions::default());
        assert!(all_default.resident_len > 1 << 30, "what fits stays in memory");
        // Two writers whose blocks are a mebibyte longer, less the default sizes.
        let large = WriterOptions::default().value_block_size(1 << 20).key_block_size(usize::MAX);
        let less = all_default.resident_len - all(&large).resident_len;
        assert_eq!(less, 2 * ((8 << 20) - 3 * (8 << 10) - 5 * (16 << 10)));
    }

    #[test]
    fn buckets_are_the_first_bits() {
        assert_eq!((bucket_of(0), bucket_of(u64::MAX), bucket_of(1 << 56)), (0, 255, 1));
    }
}
