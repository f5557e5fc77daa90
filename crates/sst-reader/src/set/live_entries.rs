//! Walking a live set.

use std::sync::Arc;

use super::{SetEntries, SstSet};
use crate::{ReadError, Slice};

self_cell::self_cell!(
    /// A set, and a walk of it.
    struct Walk {
        owner: Arc<SstSet>,

        #[not_covariant]
        dependent: SetEntries,
    }
);

/// Iterator over the live entries of the set that a [`LiveSet`](crate::LiveSet) held when the walk
/// began. It keeps that set: a refresh does not change the walk. Keys and values outlive it.
///
/// It ends after the first error. A file that a later commit has removed gives
/// [`ReadError::Outdated`]: the writer must keep replaced files for as long as walks take.
pub struct LiveEntries {
    walk: Walk,
    is_over: bool,
}

impl LiveEntries {
    pub(super) fn new(set: Arc<SstSet>) -> Self {
        Self { walk: Walk::new(set, |set| set.entries()), is_over: false }
    }
}

impl Iterator for LiveEntries {
    type Item = Result<(Slice<'static>, Slice<'static>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.walk.with_dependent_mut(|_, entries| {
            let entry = entries.next()?;
            Some(entry.map(|(key, value)| (key.into_owned(), value.into_owned())))
        });
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
