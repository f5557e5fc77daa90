//! Slices that a walk keeps, so that it reads none of them more than twice.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::block::slice::Slice;

/// The slices that a walk has read and keeps, by block or by blob: those that it came back to, and
/// those that the caller still holds.
///
/// Writers name each block and each blob in one place, so that a walk reads it once. A hostile file
/// may name two of them in turn, a million times: the second time they are kept for the whole walk.
pub(crate) struct KeptSlices<K> {
    /// All that were read.
    seen: HashSet<K>,
    kept: HashMap<K, KeptSlice>,
    /// How many may be kept before those are dropped that the caller has let go.
    room: usize,
}

struct KeptSlice {
    slice: Slice<'static>,
    /// Whether it was asked for a second time: it stays for the whole walk.
    was_revisited: bool,
}

impl<K> Default for KeptSlices<K> {
    fn default() -> Self {
        Self { seen: HashSet::new(), kept: HashMap::new(), room: 0 }
    }
}

impl<K: Copy + Eq + Hash> KeptSlices<K> {
    /// A slice that is kept; it now stays for the whole walk.
    #[inline]
    pub(crate) fn revisit(&mut self, key: K) -> Option<Slice<'static>> {
        let kept = self.kept.get_mut(&key)?;
        kept.was_revisited = true;
        Some(kept.slice.clone())
    }

    /// Notes that a slice was read. Returns whether it was for the first time.
    pub(crate) fn see(&mut self, key: K) -> bool {
        self.seen.insert(key)
    }

    /// Whether a slice is kept.
    pub(crate) fn has(&self, key: K) -> bool {
        self.kept.contains_key(&key)
    }

    /// Keeps a slice, for the whole walk if it `was_revisited`, and else as long as the caller
    /// holds it.
    pub(crate) fn keep(&mut self, key: K, slice: Slice<'static>, was_revisited: bool) {
        self.kept.insert(key, KeptSlice { slice, was_revisited });
    }

    /// Drops the slices that the caller has let go, if there are many of them. Amortized O(1).
    pub(crate) fn make_room(&mut self) {
        if self.kept.len() >= self.room {
            self.kept.retain(|_, kept| kept.was_revisited || kept.slice.is_shared());
            self.room = (2 * self.kept.len()).max(1);
        }
    }
}
