//! Whether the next lookup in a table is likely to find its key, judged by the last ones.
//!
//! A lookup that will hit waits for memory twice, for the filter and for the key block, and saves half of that by asking
//! for both at once. A lookup that will miss only pays for what it fetches in vain. Which it is can't be known, but
//! lookups come in streaks: a service asks for what is there, or checks for what is new.
//!
//! The memory is that of a thread, so nothing shared is written, and of a few tables, by the low bits of their number:
//! two that share one only guess worse.

use std::cell::Cell;

use crate::block::block_cache::TableId;

/// How many tables are told apart. A power of two.
const TABLES: usize = 16;

/// Hits, or misses, in a row that make up the mind.
const STREAK: i8 = 4;

thread_local! {
    /// For each table, recent hits less recent misses, between `-STREAK` and `STREAK - 1`.
    static RECENT: [Cell<i8>; TABLES] = const { [const { Cell::new(0) }; TABLES] };
}

/// What was learned from the lookups of this thread in one table.
#[derive(Clone, Copy)]
pub(crate) struct Outlook(usize);

impl Outlook {
    #[inline]
    pub(crate) fn of(table: TableId) -> Self {
        Self(table.low_bits() % TABLES)
    }

    /// Whether the next lookup will probably pass the filter.
    #[inline]
    pub(crate) fn is_hit(self) -> bool {
        RECENT.with(|recent| recent.get(self.0).is_some_and(|balance| balance.get() >= 0))
    }

    /// Learns whether a lookup passed the filter.
    #[inline]
    pub(crate) fn learn(self, is_hit: bool) {
        RECENT.with(|recent| {
            if let Some(balance) = recent.get(self.0) {
                let next = if is_hit { balance.get() + 1 } else { balance.get() - 1 };
                balance.set(next.clamp(-STREAK, STREAK - 1));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_makes_up_the_mind_and_one_exception_does_not_change_it() {
        let table = Outlook::of(TableId::unique());
        for is_hit in [false, true, false] {
            for _ in 0..2 * STREAK {
                table.learn(is_hit);
            }
            assert_eq!(table.is_hit(), is_hit);
            table.learn(!is_hit);
            assert_eq!(table.is_hit(), is_hit);
        }
    }
}
