//! Compaction that decides by itself.

use std::collections::HashSet;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::monitor::Monitor;
use sst_reader::{Catalog, CatalogTable, ReaderOptions};
use sst_writer::Publisher;

use super::{MergePlan, MergePolicy, TableSize};
use crate::output::compact_tables;
use crate::{Compaction, MergeError, MergeOptions};

/// The merges that a policy wants of a family, one after the other; empty if it wants none. Nothing
/// is merged. Merges are estimated to write as many bytes as they read.
#[must_use]
pub fn plan_compaction(catalog: &Catalog, family: u32, policy: &MergePolicy) -> Vec<MergePlan> {
    let sizes: Vec<_> = oldest_first(catalog, family).map(size_of).collect();
    policy.choose_all(&sizes)
}

/// Merges tables of a family in place, as often as the policy wants it. Each merge is a commit, as
/// one of [`compact`](crate::compact) is: it may be cancelled, and a crash leaves the tables before
/// or the tables after. All of them together read at most [`MergePolicy::max_bytes`].
///
/// It ends early where the policy wants the output of a merge to be merged again: a run of equal
/// hashes is too long for a table, and its tables stay layers.
///
/// If the policy wants nothing, no commit is made, and the files go that an earlier merge has left
/// which was killed ([`Publisher::remove_leftover_files`]).
///
/// [`MergeOptions::cuts`] is ignored: plans have cuts of their own. `each` is called after each
/// merge.
///
/// # Errors
///
/// As [`compact`](crate::compact). Merges before the error stay.
pub fn auto_compact(
    publisher: &mut Publisher,
    family: u32,
    policy: &MergePolicy,
    options: &MergeOptions,
    reader: &ReaderOptions,
    monitor: &Monitor,
    mut each: impl FnMut(&MergePlan, &Compaction),
) -> Result<(), MergeError> {
    let mut limit = policy.max_bytes;
    // The tables before the last merge.
    let mut known: Option<HashSet<SequenceNumber>> = None;
    while publisher.current().is_some() {
        let catalog = Arc::new(Catalog::read(publisher.directory())?);
        let tables: Vec<_> = oldest_first(&catalog, family).collect();
        let sizes: Vec<_> = tables.iter().copied().map(size_of).collect();
        let Some(plan) = policy.choose_within(&sizes, limit) else { break };
        let merged = plan.tables.iter().filter_map(|place| tables.get(*place));
        let merged: HashSet<_> = merged.map(|table| table.sequence).collect();
        if merged.len() != plan.tables.len() {
            return Err(MergeError::internal("a plan names tables of its family"));
        }
        // Tables of one merge overlap only in a run of equal hashes that was too long for one
        // table. To merge them once more would give the same tables.
        if known.as_ref().is_some_and(|known| merged.is_disjoint(known)) {
            break;
        }
        known = Some(tables.iter().map(|table| table.sequence).collect());
        let options = options.clone().cuts(plan.cuts.clone());
        let merged =
            compact_tables(publisher, &catalog, family, &merged, &options, reader, monitor)?;
        limit = limit
            .checked_sub(plan.bytes)
            .ok_or_else(|| MergeError::internal("a plan keeps to its limit"))?;
        each(&plan, &merged);
    }
    if known.is_none() {
        publisher.remove_leftover_files()?;
    }
    Ok(())
}

/// The tables of a family, the oldest first.
fn oldest_first(catalog: &Catalog, family: u32) -> impl Iterator<Item = &CatalogTable> {
    catalog.tables.iter().rev().filter(move |table| table.family == family)
}

fn size_of(table: &CatalogTable) -> TableSize {
    TableSize {
        bytes: table.record.file_size,
        min_hash: table.record.min_hash,
        max_hash: table.record.max_hash,
    }
}
