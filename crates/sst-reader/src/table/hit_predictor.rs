//! Predicts whether the next lookup in a table will find its key, from the last ones.
//!
//! A lookup that hits waits for memory twice, for the filter and for the key block, and saves half
//! of that by asking for both at once. A lookup that misses only pays for the key block that it
//! fetched in vain. Lookups come in streaks: a service asks for keys that are there, or checks for
//! new ones. After a long streak of hits the filter is not asked at all: only a key that is not
//! found where it should be is asked of it, before a search.
//!
//! The memory is that of a thread, so nothing shared is written, and of a few tables, by the low
//! bits of their number: two tables that share one only predict worse.

use std::cell::Cell;

use crate::block::block_cache::TableId;

/// How many tables are told apart. A power of two.
const TABLES: usize = 16;

/// Hits, or misses, in a row after which the prediction is certain to have changed.
const STREAK: i8 = 4;

/// The balance from which on the filter is not asked: after ten to twelve hits in a row. If 9 of 10
/// keys are there, one lookup of three has so many hits before it; if half of them are, one of a
/// thousand.
const LONG_STREAK: i8 = 3 * STREAK;

thread_local! {
    /// For each table, recent hits less recent misses: from `-STREAK` to `STREAK - 1`, and up to
    /// `LONG_STREAK` while there is no miss.
    static RECENT: [Cell<i8>; TABLES] = const { [const { Cell::new(0) }; TABLES] };
}

/// The prediction for one table, learned from the lookups of this thread.
#[derive(Clone, Copy)]
pub(crate) struct HitPredictor {
    number: usize,
    balance: i8,
}

impl HitPredictor {
    /// The prediction for the next lookup in a table.
    #[inline]
    pub(crate) fn of(table: TableId) -> Self {
        Self::of_number(table.low_bits())
    }

    /// The prediction for tables that are asked together, by a number that they have in common.
    #[inline]
    pub(crate) fn of_number(number: usize) -> Self {
        Self { number, balance: RECENT.with(|recent| balance_of(recent, number).get()) }
    }

    /// Whether the next lookup will probably pass the filter.
    #[inline]
    pub(crate) const fn predicts_hit(self) -> bool {
        self.balance >= 0
    }

    /// Whether so many lookups in a row have found their key that the next one will too, most
    /// probably. Such a lookup learns nothing if it does.
    #[inline]
    pub(crate) const fn expects_hit(self) -> bool {
        self.balance >= LONG_STREAK
    }

    /// Learns whether the lookup passed the filter.
    #[inline]
    pub(crate) fn learn(self, is_hit: bool) {
        self.set(match is_hit {
            true => (self.balance + 1).min(LONG_STREAK),
            false => (self.balance.min(STREAK - 1) - 1).max(-STREAK),
        });
    }

    /// Learns from a call for many keys whether all of them passed the filter.
    pub(crate) fn learn_of_many(self, count: usize, all_hit: bool) {
        match i8::try_from(count) {
            _ if !all_hit => self.learn(false),
            Ok(count) => self.set(self.balance.saturating_add(count).min(LONG_STREAK)),
            // More than a long streak.
            Err(_) => self.set(LONG_STREAK),
        }
    }

    #[inline]
    fn set(self, balance: i8) {
        RECENT.with(|recent| balance_of(recent, self.number).set(balance));
    }
}

/// The balance of the table with this number.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a remainder of TABLES is below TABLES")]
const fn balance_of(recent: &[Cell<i8>; TABLES], number: usize) -> &Cell<i8> {
    &recent[number % TABLES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_decides_and_one_exception_does_not() {
        let table = TableId::unique();
        let predicts_hit = || HitPredictor::of(table).predicts_hit();
        for is_hit in [false, true, false] {
            for _ in 0..2 * STREAK {
                HitPredictor::of(table).learn(is_hit);
            }
            assert_eq!(predicts_hit(), is_hit);
            HitPredictor::of(table).learn(!is_hit);
            assert_eq!(predicts_hit(), is_hit);
        }
    }

    #[test]
    fn only_a_long_streak_of_hits_makes_the_next_one_expected() {
        let table = TableId::unique();
        let now = || HitPredictor::of(table);
        for _ in 0..3 {
            now().learn(false);
            for _ in 0..10 {
                assert!(!now().expects_hit());
                now().learn(true);
            }
            for _ in 0..10 {
                now().learn(true);
            }
            assert!(now().expects_hit() && now().predicts_hit());
        }
        now().learn(false);
        assert!(!now().expects_hit() && now().predicts_hit());
        now().learn_of_many(9, true);
        assert!(!now().expects_hit());
        now().learn_of_many(1000, true);
        assert!(now().expects_hit());
        now().learn_of_many(1000, false);
        assert!(!now().expects_hit() && now().predicts_hit());
        now().learn_of_many(0, true);
        assert!(!now().expects_hit() && now().predicts_hit());
    }
}
