//! Collects the hashes of one table and builds its filter.

use crate::{
    encode::{Encoder, SlotCursor},
    envelope::EnvelopeWriter,
    layout::Layout,
    pile::{Pile, Pool},
    radix::Sorter,
};
use sst_format::filter::{FilterBuilder, FilterError};

/// Quotient bits of the largest filter that is made.
const MAX_QUOTIENT_BITS: u8 = 26;
/// The capacity of the largest filter: a builder keeps at most this many fingerprints, and sizes no
/// filter for more entries. A table always has fewer distinct hashes: at most 65,534 key blocks of
/// at most 819 each.
const MAX_FINGERPRINTS: u64 = (19_u64 << MAX_QUOTIENT_BITS).div_ceil(20);
const _: () = assert!(65_534 * 819 <= MAX_FINGERPRINTS);

/// Low bits of a hash that a pile stores. The number of the pile gives the bits above.
const PILE_BITS: u8 = 32;

const TOO_LARGE: FilterError = FilterError::new("more distinct hashes than a table holds");
const NO_PILE: FilterError = FilterError::new("internal: a hash has no pile");

/// Collects the low bits of the distinct hashes.
///
/// The length of a fingerprint follows from the number of entries, which is known only at the end.
/// Until then a builder keeps as many bits as a fingerprint of the largest filter has.
#[derive(Debug)]
pub(crate) struct Builder {
    remainder_bits: u8,
    piles: Vec<Pile>,
    last: Option<u64>,
    entries: u64,
    kept: u64,
    /// The reason why `finish` will return an error.
    failure: Option<FilterError>,
}

impl Builder {
    pub(crate) fn new(remainder_bits: u8) -> Self {
        let extra_bits = (MAX_QUOTIENT_BITS + remainder_bits).saturating_sub(PILE_BITS);
        Self {
            remainder_bits,
            piles: (0..1_usize << extra_bits).map(|_| Pile::new()).collect(),
            last: None,
            entries: 0,
            kept: 0,
            failure: None,
        }
    }

    /// Records a failure, which `finish` reports, and frees the piles.
    #[cold]
    fn fail(&mut self, failure: FilterError) {
        self.failure = Some(failure);
        self.piles = Vec::new();
    }

    /// Turns the collected hashes into sorted, distinct fingerprints of `layout`.
    fn sort(self, layout: Layout) -> Result<Sorted, FilterError> {
        // A small filter has no fingerprint bits above those of a pile, so it has one group.
        let extra_bits = layout.fingerprint_bits().saturating_sub(PILE_BITS);
        let mut groups = Vec::new();
        groups.resize_with(1 << extra_bits, Vec::new);
        let groups_mask = groups.len() - 1;
        for (index, pile) in self.piles.into_iter().enumerate() {
            groups.get_mut(index & groups_mask).ok_or(NO_PILE)?.push(pile);
        }
        let bits = u32::from(layout.fingerprint_bits().min(PILE_BITS));
        let mut sorter = Sorter::default();
        let mut cursor = SlotCursor::default();
        let mut sorted = Vec::with_capacity(groups.len());
        for (prefix, group) in (0_u64..).zip(groups) {
            let prefix = prefix << PILE_BITS;
            let mut distinct = Pile::new();
            let mut sink = |values: &[u32], pool: &mut Pool| {
                for &value in values {
                    cursor.next_slot(layout.split(prefix | u64::from(value)).0);
                }
                distinct.extend(values, pool)
            };
            sorter.sort(group, bits, &mut sink)?;
            sorted.push((prefix, distinct));
        }
        Ok(Sorted { groups: sorted, overflow: cursor.overflow(layout) })
    }
}

/// Distinct fingerprints in ascending order.
#[derive(Debug)]
struct Sorted {
    /// For each group the fingerprint bits from [`PILE_BITS`] on, and the low bits of all
    /// fingerprints that share them.
    groups: Vec<(u64, Pile)>,
    /// Number of fingerprints that do not fit before the end of the table, and so wrap around.
    overflow: u64,
}

impl FilterBuilder for Builder {
    fn add_hashes(&mut self, hashes: &[u64]) {
        // Saturates: above the capacity of the largest filter the exact number does not matter.
        self.entries = self.entries.saturating_add(hashes.len() as u64);
        if self.failure.is_some() {
            return;
        }
        if self.kept > MAX_FINGERPRINTS {
            return self.fail(TOO_LARGE);
        }
        let piles = self.piles.as_mut_slice();
        let piles_mask = piles.len().wrapping_sub(1);
        let mut no_pool = Pool::default();
        let (mut last, mut kept) = (self.last, self.kept);
        for &hash in hashes {
            if last == Some(hash) {
                continue;
            }
            last = Some(hash);
            kept += 1;
            let (high, low) = halves(hash);
            let Some(pile) = piles.get_mut(high as usize & piles_mask) else {
                return self.fail(NO_PILE);
            };
            if let Err(no_memory) = pile.push(low, &mut no_pool) {
                return self.fail(no_memory);
            }
        }
        (self.last, self.kept) = (last, kept);
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError> {
        debug_assert_ne!(self.failure, Some(NO_PILE));
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.kept > MAX_FINGERPRINTS {
            return Err(TOO_LARGE);
        }
        let layout = Layout::for_entries(self.entries.min(MAX_FINGERPRINTS), self.remainder_bits)
            .ok_or(TOO_LARGE)?;
        let sorted = self.sort(layout)?;
        let mut envelope = EnvelopeWriter::new(layout)?;
        let mut encoder = Encoder::new(envelope.buffer_mut()?, layout, sorted.overflow);
        for (prefix, pile) in sorted.groups {
            for block in pile.into_blocks() {
                for value in block {
                    encoder.push(prefix | u64::from(value));
                }
            }
        }
        let count = encoder.finish()?;
        envelope.finish(count)
    }
}

/// The upper and the lower 32 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "only the lower half is wanted")]
fn halves(hash: u64) -> (u32, u32) {
    ((hash >> 32) as u32, hash as u32)
}

#[cfg(test)]
mod tests {
    use super::{Builder, MAX_FINGERPRINTS};
    use crate::QuotientFilterView;
    use sst_format::filter::FilterBuilder;

    #[test]
    fn any_number_of_entries_is_taken() {
        let mut builder = Box::new(Builder::new(7));
        builder.entries = u64::MAX - 1;
        builder.add_hashes(&[5; 3]);
        let bytes = builder.finish().unwrap();
        let view = QuotientFilterView::parse(&bytes).unwrap();
        assert_eq!(view.info().quotient_bits, 26);
        assert_eq!(view.info().capacity, MAX_FINGERPRINTS);
        assert_eq!(view.info().fingerprint_count, 1);
        assert!(view.may_contain(5));
    }

    #[test]
    fn more_distinct_hashes_than_a_table_holds_are_an_error() {
        let mut builder = Box::new(Builder::new(7));
        builder.kept = MAX_FINGERPRINTS - 1;
        builder.add_hashes(&[1, 2]);
        builder.add_hashes(&[3]);
        assert!(builder.piles.is_empty(), "its memory is free as soon as it has failed");
        assert!(builder.finish().is_err());
    }

    #[test]
    fn keeps_equal_neighbours_once() {
        let mut builder = Builder::new(7);
        builder.add_hashes(&[1, 1, 2]);
        builder.add_hashes(&[2, 2, 3]);
        assert_eq!((builder.entries, builder.kept), (6, 3));
    }
}
