//! What a commit changes in the tables that were there before.

use std::collections::BTreeSet;

use sst_format::SequenceNumber;
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::CommitKind;

use crate::PublishError;

/// What a commit changes in the earlier tables of its family, and the kind that it has because of
/// that: the same for commits of directories and of buckets.
///
/// Where it asks for the live tables of the commit before, these are the tables of all families.
#[derive(Clone, Debug)]
pub struct FamilyChange {
    family: u32,
    /// `None` unless the caller has said it.
    kind: Option<CommitKind>,
    replaces_all: bool,
    /// Tables of earlier commits that are not live in this one.
    obsolete: BTreeSet<SequenceNumber>,
    /// The live tables of the family before this commit, from the first time that they are asked
    /// for: a commit may make thousands of them obsolete one by one.
    live: Option<BTreeSet<SequenceNumber>>,
}

impl FamilyChange {
    /// A commit that changes nothing of the family yet.
    #[must_use]
    pub const fn new(family: u32) -> Self {
        Self { family, kind: None, replaces_all: false, obsolete: BTreeSet::new(), live: None }
    }

    /// The family whose tables the commit changes.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// The tables of earlier commits that are not live in this one.
    #[must_use]
    pub const fn obsolete(&self) -> &BTreeSet<SequenceNumber> {
        &self.obsolete
    }

    /// The kind of the commit: the one that was set, else [`CommitKind::Load`] if it replaces all
    /// tables, else [`CommitKind::Append`].
    #[must_use]
    pub const fn kind(&self) -> CommitKind {
        match self.kind {
            Some(kind) => kind,
            None if self.replaces_all => CommitKind::Load,
            None => CommitKind::Append,
        }
    }

    /// Sets the kind of the commit.
    pub const fn set_kind(&mut self, kind: CommitKind) {
        self.kind = Some(kind);
    }

    /// Makes a table obsolete. `live` are the live tables of the commit before.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotLive`] if the commit before has no such table of this family.
    pub fn make_obsolete<'t>(
        &mut self,
        table: SequenceNumber,
        live: impl Iterator<Item = (u32, &'t TableRecord)>,
    ) -> Result<(), PublishError> {
        let family = self.family;
        let known = self.live.get_or_insert_with(|| of_family(family, live).collect());
        if !known.contains(&table) {
            return Err(PublishError::NotLive { table, family });
        }
        self.obsolete.insert(table);
        Ok(())
    }

    /// Makes all tables of the family obsolete. `live` are the live tables of the commit before.
    pub fn replace_all<'t>(&mut self, live: impl Iterator<Item = (u32, &'t TableRecord)>) {
        self.replaces_all = true;
        self.obsolete.extend(of_family(self.family, live));
    }

    /// Whether all tables that it makes obsolete are among `live`, the live tables of a commit.
    pub fn applies_to<'t>(&self, live: impl Iterator<Item = (u32, &'t TableRecord)>) -> bool {
        let live: BTreeSet<_> = of_family(self.family, live).collect();
        self.obsolete.is_subset(&live)
    }

    /// Whether it makes all tables of its family obsolete that are among `live`, the live tables of
    /// a commit.
    pub fn leaves_none_of<'t>(&self, live: impl Iterator<Item = (u32, &'t TableRecord)>) -> bool {
        of_family(self.family, live).all(|table| self.obsolete.contains(&table))
    }
}

fn of_family<'t>(
    family: u32,
    live: impl Iterator<Item = (u32, &'t TableRecord)>,
) -> impl Iterator<Item = SequenceNumber> {
    live.filter_map(move |(of, table)| (of == family).then_some(table.sequence))
}
