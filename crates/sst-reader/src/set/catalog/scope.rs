//! The family and the range of hashes that a catalog covers.

use sst_format::meta_head::HashRange;

use super::super::CatalogTable;
use super::super::loaded_meta::ListedFile;

/// All of a directory, or one family and range of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::set) struct Scope {
    /// `None` for all families.
    family: Option<u32>,
    pub(in crate::set) hashes: HashRange,
}

impl Scope {
    /// All of a directory.
    pub(in crate::set) const ALL: Self = Self { family: None, hashes: HashRange::FULL };

    /// The tables of a family that meet a range of hashes.
    pub(in crate::set) const fn of(family: u32, hashes: HashRange) -> Self {
        Self { family: Some(family), hashes }
    }

    fn needs(self, family: u32, hashes: HashRange) -> bool {
        self.family.is_none_or(|wanted| wanted == family)
            && (self == Self::ALL || self.hashes.overlaps(hashes))
    }

    /// Whether a meta file may say something of the tables in the scope. One of version 1 or 2 is
    /// listed with all hashes, and may name tables of any family obsolete.
    pub(super) fn needs_meta(self, listed: &ListedFile) -> bool {
        listed
            .coverage
            .is_none_or(|(family, hashes)| hashes == HashRange::FULL || self.needs(family, hashes))
    }

    /// Whether a table is in the scope, at least in part.
    pub(super) fn needs_table(self, table: &CatalogTable) -> bool {
        let (min, max) = (table.record.min_hash, table.record.max_hash);
        self.needs(table.family, HashRange { min, max })
    }
}
