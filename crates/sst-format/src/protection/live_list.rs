//! The list of live meta files, held in memory.

use alloc::vec::Vec;

use super::{LiveMeta, ProtectionSection};
use crate::SequenceNumber;
use crate::meta_head::ListedMeta;

/// The live meta files that a meta file lists, ascending, with that file last. Empty in a part of a
/// commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveList {
    /// In versions 1 and 2, which store neither families nor hashes.
    Numbers(Vec<LiveMeta>),
    /// In version 3.
    Records(Vec<ListedMeta>),
}

impl LiveList {
    /// The list of a section.
    #[must_use]
    pub fn of(section: &ProtectionSection<'_>) -> Self {
        match section.listed_metas() {
            Some(listed) => Self::Records(listed.collect()),
            None => Self::Numbers(section.live_metas().collect()),
        }
    }

    /// The numbers and checksums of the meta files.
    pub fn metas(&self) -> impl Iterator<Item = LiveMeta> {
        let (numbers, records) = match self {
            Self::Numbers(numbers) => (numbers.as_slice(), &[][..]),
            Self::Records(records) => (&[][..], records.as_slice()),
        };
        numbers.iter().copied().chain(records.iter().copied().map(LiveMeta::from))
    }

    /// Whether it lists nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.is_empty(),
            Self::Records(records) => records.is_empty(),
        }
    }

    /// The record of a meta file; `None` if the list does not have it, or has no records. O(log n).
    #[must_use]
    pub fn record(&self, sequence: SequenceNumber) -> Option<&ListedMeta> {
        match self {
            Self::Numbers(_) => None,
            Self::Records(records) => {
                let place = records.binary_search_by_key(&sequence, |listed| listed.sequence);
                place.ok().and_then(|place| records.get(place))
            }
        }
    }
}
