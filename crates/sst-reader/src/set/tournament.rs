//! Which of several sorted sources has the next entry.

use std::cmp::Ordering;
use std::hint::select_unpredictable;

/// A tournament tree (a loser tree) over the hashes of the next entries of sources: for merging
/// iterators.
///
/// Each source is a leaf, and each inner node remembers the loser of the match between the winners
/// of its two sides. When the winner's source moves on, only the matches on the way from its leaf
/// to the root are played again. Example with four sources whose next hashes are 5, 2, 9 and 7:
///
/// ```text
///            winner: 2 (source 1)
///                 loser: 7
///             ┌──────┴──────┐
///         loser: 5      loser: 9
///         ┌──┴──┐       ┌──┴──┐
///         5     2       9     7
/// ```
///
/// Source 1 moves on to 6: it loses against 5, which then wins against 7.
///
/// While one source wins again and again, not even these matches are played: its next hash is
/// compared with the lowest hash of all others.
///
/// There are as many leaves as the next power of two, so that each source is as many matches away
/// from the root: a processor foresees how often the loop of the matches runs.
///
/// # Examples
///
/// ```
/// use std::cmp::Ordering;
/// use std::convert::Infallible;
/// use sst_reader::Tournament;
///
/// let same_key = |_, _| Ok::<_, Infallible>(Ordering::Equal);
/// let mut tournament = Tournament::new(&[Some(5), Some(2), None], same_key)?;
/// assert_eq!(tournament.winner(), Some((1, 2)));
/// tournament.replace(Some(5), same_key)?;
/// // Of entries with equal hashes and keys that of the first source comes first.
/// assert_eq!(tournament.winner(), Some((0, 5)));
/// tournament.replace(None, same_key)?;
/// assert_eq!(tournament.winner(), Some((1, 5)));
/// # Ok::<(), Infallible>(())
/// ```
#[derive(Debug)]
pub struct Tournament {
    /// Inner node `n` has the children `2n` and `2n + 1`; of `k` leaves, a power of two, source `i`
    /// is node `k + i`. Node 0 does not exist.
    losers: Box<[Contender]>,
    winner: Contender,
    /// A hash of the winner's source below this one wins without a match.
    wins_below: u64,
}

impl Default for Tournament {
    /// A tournament of no sources.
    fn default() -> Self {
        Self { losers: Box::default(), winner: Contender::new(0, None), wins_below: 0 }
    }
}

/// A source with the hash of its next entry.
#[derive(Clone, Copy, Debug)]
struct Contender {
    /// The highest hash if the source has no entry left.
    hash: u64,
    /// The number of the source; with [`IS_OVER`] if it has no entry left.
    source: u64,
}

/// Marks a source without entries.
const IS_OVER: u64 = 1 << 63;

impl Contender {
    const fn new(source: u64, hash: Option<u64>) -> Self {
        match hash {
            Some(hash) => Self { hash, source },
            None => Self { hash: u64::MAX, source: source | IS_OVER },
        }
    }

    const fn is_over(self) -> bool {
        self.source & IS_OVER != 0
    }

    #[cfg_attr(
        target_pointer_width = "32",
        expect(clippy::cast_possible_truncation, reason = "it was the index of a slice")
    )]
    const fn index(self) -> usize {
        (self.source & !IS_OVER) as usize
    }

    /// Whether this contender wins against another one.
    #[inline(always)]
    fn beats<E>(
        self,
        other: Self,
        tie: &mut impl FnMut(usize, usize) -> Result<Ordering, E>,
    ) -> Result<bool, E> {
        if self.hash == other.hash {
            self.breaks_tie(other, tie)
        } else {
            Ok(self.hash < other.hash)
        }
    }

    #[cold]
    fn breaks_tie<E>(
        self,
        other: Self,
        tie: &mut impl FnMut(usize, usize) -> Result<Ordering, E>,
    ) -> Result<bool, E> {
        if self.is_over() || other.is_over() {
            return Ok(other.is_over());
        }
        let by_key = tie(self.index(), other.index())?;
        Ok(by_key.then(self.source.cmp(&other.source)).is_lt())
    }
}

impl Tournament {
    /// Plays all matches. `hashes` are those of the next entries of the sources; `None` stands for
    /// a source without entries. O(sources).
    ///
    /// `tie` compares the next entries of two sources that have the same hash, by key. Where it
    /// finds them equal, the source with the lower number comes first.
    ///
    /// # Errors
    ///
    /// Those of `tie`.
    #[expect(clippy::indexing_slicing, reason = "there are twice as many nodes as leaves")]
    pub fn new<E>(
        hashes: &[Option<u64>],
        mut tie: impl FnMut(usize, usize) -> Result<Ordering, E>,
    ) -> Result<Self, E> {
        let over = Contender::new(0, None);
        let sources = (0..).zip(hashes).map(|(source, hash)| Contender::new(source, *hash));
        let leaf_count = hashes.len().next_power_of_two();
        // The winners of all nodes: those of the inner ones are filled in from the last to the
        // root. A leaf without a source is one without entries, and is never asked about.
        let mut winners = vec![over; 2 * leaf_count];
        for (leaf, source) in winners.iter_mut().skip(leaf_count).zip(sources) {
            *leaf = source;
        }
        let mut losers = vec![over; leaf_count];
        for node in (1..leaf_count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let left_wins = left.beats(right, &mut tie)?;
            (winners[node], losers[node]) = if left_wins { (left, right) } else { (right, left) };
        }
        // The root is node 1, which is the leaf itself where there is one source.
        let winner = winners.get(1).copied().unwrap_or(over);
        let wins_below = if hashes.len() == 1 { u64::MAX } else { 0 };
        Ok(Self { losers: losers.into_boxed_slice(), winner, wins_below })
    }

    /// The source with the next entry of all, and the hash of that entry. `None` if no source has
    /// an entry left.
    #[must_use]
    #[inline]
    pub const fn winner(&self) -> Option<(usize, u64)> {
        if self.winner.is_over() {
            return None;
        }
        Some((self.winner.index(), self.winner.hash))
    }

    /// Takes the hash of the next entry of the winner's source; `None` if it has no entry left.
    /// There is another winner then, or the same one. O(log sources), O(1) while the same source
    /// wins.
    ///
    /// `tie` is as in [`Tournament::new`].
    ///
    /// # Errors
    ///
    /// Those of `tie`. The tournament is then of no use any more.
    #[inline]
    pub fn replace<E>(
        &mut self,
        hash: Option<u64>,
        tie: impl FnMut(usize, usize) -> Result<Ordering, E>,
    ) -> Result<(), E> {
        match hash {
            Some(hash) if hash < self.wins_below => {
                self.winner.hash = hash;
                Ok(())
            }
            _ => self.replay(hash, tie),
        }
    }

    /// Plays the matches of the winner's source again, from its leaf to the root.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a node is below the number of leaves")]
    fn replay<E>(
        &mut self,
        hash: Option<u64>,
        mut tie: impl FnMut(usize, usize) -> Result<Ordering, E>,
    ) -> Result<(), E> {
        let source = self.winner.source & !IS_OVER;
        let mut winner = Contender::new(source, hash);
        let first_node = (self.losers.len() + self.winner.index()) / 2;
        let mut node = first_node;
        while node > 0 {
            let other = self.losers[node];
            let is_beaten = other.beats(winner, &mut tie)?;
            self.losers[node] = Contender {
                hash: select_unpredictable(is_beaten, winner.hash, other.hash),
                source: select_unpredictable(is_beaten, winner.source, other.source),
            };
            winner = Contender {
                hash: select_unpredictable(is_beaten, other.hash, winner.hash),
                source: select_unpredictable(is_beaten, other.source, winner.source),
            };
            node /= 2;
        }
        // A source that won all its matches met every node on its way, so it knows the lowest hash
        // of all others. A new winner does not: it plays its matches first.
        self.wins_below = if winner.source == source { self.lowest_loser(first_node) } else { 0 };
        self.winner = winner;
        Ok(())
    }

    /// The lowest hash of the losers from a node to the root.
    #[expect(clippy::indexing_slicing, reason = "a node is below the number of leaves")]
    fn lowest_loser(&self, first_node: usize) -> u64 {
        let mut lowest = u64::MAX;
        let mut node = first_node;
        while node > 0 {
            lowest = lowest.min(self.losers[node].hash);
            node /= 2;
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Merges sources of (hash, key), and compares with sorting.
    fn check(mut sources: Vec<VecDeque<(u64, u8)>>) {
        let mut expected: Vec<_> = (0..)
            .zip(&sources)
            .flat_map(|(i, source): (usize, _)| source.iter().map(move |&entry| (entry, i)))
            .collect();
        expected.sort_unstable();
        let hash_of = |source: &VecDeque<(u64, u8)>| source.front().map(|(hash, _)| *hash);
        let hashes: Vec<_> = sources.iter().map(hash_of).collect();
        let tie = |sources: &[VecDeque<(u64, u8)>], a: usize, b: usize| {
            assert_eq!(sources[a][0].0, sources[b][0].0, "only ties are asked about");
            Ok::<_, ()>(sources[a][0].1.cmp(&sources[b][0].1))
        };
        let mut tournament = Tournament::new(&hashes, |a, b| tie(&sources, a, b)).unwrap();
        let mut merged = Vec::new();
        while let Some((source, hash)) = tournament.winner() {
            let entry = sources[source].pop_front().unwrap();
            assert_eq!(entry.0, hash);
            merged.push((entry, source));
            let next = hash_of(&sources[source]);
            tournament.replace(next, |a, b| tie(&sources, a, b)).unwrap();
        }
        assert_eq!(merged, expected);
    }

    #[test]
    fn entries_come_in_order() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for count in 0..40_u64 {
            for spread in [2, 30, 1000] {
                let source = |random: &mut dyn FnMut(u64) -> u64| {
                    let start = random(spread);
                    let entries = (0..random(30)).map(|_| {
                        // The highest hash is that of sources without entries, too.
                        let hash = match start + random(spread) {
                            0 => u64::MAX,
                            hash => hash,
                        };
                        (hash, u8::try_from(random(3)).unwrap())
                    });
                    let mut entries: Vec<_> = entries.collect();
                    entries.sort_unstable();
                    entries.into()
                };
                check((0..count).map(|_| source(&mut random)).collect());
            }
        }
    }

    #[test]
    fn a_source_that_wins_on_plays_no_match() {
        let no_tie = |_, _| -> Result<Ordering, ()> { panic!("no two hashes are equal") };
        let mut tournament = Tournament::new(&[Some(10), Some(0), Some(20)], no_tie).unwrap();
        tournament.replace(Some(1), no_tie).unwrap();
        assert_eq!(tournament.wins_below, 10);
        tournament.replace(Some(9), no_tie).unwrap();
        assert_eq!((tournament.winner(), tournament.wins_below), (Some((1, 9)), 10));
        tournament.replace(Some(11), no_tie).unwrap();
        assert_eq!((tournament.winner(), tournament.wins_below), (Some((0, 10)), 0));
    }

    #[test]
    fn a_tie_that_fails_is_an_error() {
        let fails = |_, _| Err::<Ordering, _>("broken");
        assert_eq!(Tournament::new(&[Some(1), Some(1)], fails).err(), Some("broken"));
        let mut tournament = Tournament::new(&[Some(1), Some(2)], fails).unwrap();
        assert_eq!(tournament.replace(Some(2), fails), Err("broken"));
    }
}
