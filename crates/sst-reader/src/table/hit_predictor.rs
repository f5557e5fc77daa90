//! Predicts whether the next lookup in a table will find its key, from the last ones.
//!
//! A lookup that hits waits for memory twice, for the filter and for the key block, and saves half
//! of that by asking for both at once. A lookup that misses only pays for the key block that it
//! fetched in vain. Lookups come in streaks: a service asks for keys that are there, or checks for
//! new ones.
//!
//! The memory is that of a thread, so nothing shared is written, and of a few tables, by the low
//! bits of their number: two tables that share one only predict worse.

use std::cell::Cell;

use crate::block::block_cache::TableId;

/// How many tables are told apart. A power of two.
const TABLES: usize = 16;

/// Hits, or misses, in a row after which the prediction is certain to have changed.
const STREAK: i8 = 4;

thread_local! {
    /// For each table, recent hits less recent misses, between `-STREAK` and `STREAK - 1`.
    static RECENT: [Cell<i8>; TABLES] = const { [const { Cell::new(0) }; TABLES] };
}

/// The prediction for one table, learned from the lookups of this thread. Holds the low bits of the
/// table's number.
#[derive(Clone, Copy)]
pub(crate) struct HitPredictor(usize);

impl HitPredictor {
    #[inline]
    pub(crate) fn of(table: TableId) -> Self {
        Self(table.low_bits())
    }

    /// Whether the next lookup will probably pass the filter.
    #[inline]
    pub(crate) fn predicts_hit(self) -> bool {
        RECENT.with(|recent| self.balance(recent).get() >= 0)
    }

    /// Learns whether a lookup passed the filter.
    #[inline]
    pub(crate) fn learn(self, is_hit: bool) {
        RECENT.with(|recent| {
            let balance = self.balance(recent);
            let next = if is_hit { balance.get() + 1 } else { balance.get() - 1 };
            balance.set(next.clamp(-STREAK, STREAK - 1));
        });
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a remainder of TABLES is below TABLES")]
    const fn balance(self, recent: &[Cell<i8>; TABLES]) -> &Cell<i8> {
        &recent[self.0 % TABLES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_decides_and_one_exception_does_not() {
        let table = HitPredictor::of(TableId::unique());
        for is_hit in [false, true, false] {
            for _ in 0..2 * STREAK {
                table.learn(is_hit);
            }
            assert_eq!(table.predicts_hit(), is_hit);
            table.learn(!is_hit);
            assert_eq!(table.predicts_hit(), is_hit);
        }
    }
}
