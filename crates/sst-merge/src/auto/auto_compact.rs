//! Compaction that decides by itself.

use sst_format::monitor::Monitor;
use sst_reader::{Catalog, ReaderOptions};
use sst_writer::Publisher;

use crate::{Compaction, MergeError, MergeOptions, MergePlan, MergePolicy, TableSize, compact};

/// The merges that a policy wants of a family, one after the other; empty if it wants none. Nothing
/// is merged. Merges are estimated to write as many bytes as they read.
#[must_use]
pub fn plan_compaction(catalog: &Catalog, family: u32, policy: &MergePolicy) -> Vec<MergePlan> {
    policy.choose_all(&sizes(catalog, family))
}

/// Merges the newest layers of a family in place, as often as the policy wants it. Each merge is a
/// commit, as one of [`compact`] is: it may be cancelled, and a crash leaves the tables before or
/// the tables after. All of them together read at most [`MergePolicy::max_bytes`].
///
/// `each` is called after each merge.
///
/// # Errors
///
/// As [`compact`]. Merges before the error stay.
pub fn auto_compact(
    publisher: &mut Publisher,
    family: u32,
    policy: &MergePolicy,
    options: &MergeOptions,
    reader: &ReaderOptions,
    monitor: &Monitor,
    mut each: impl FnMut(MergePlan, &Compaction),
) -> Result<(), MergeError> {
    let mut policy = policy.clone();
    while publisher.current().is_some() {
        let catalog = Catalog::read(publisher.directory())?;
        let Some(plan) = policy.choose(&sizes(&catalog, family)) else { break };
        let merged = compact(publisher, family, plan.tables, options, reader.clone(), monitor)?;
        let merged = merged.ok_or_else(|| MergeError::internal("a plan has tables to merge"))?;
        policy.max_bytes -= plan.bytes;
        each(plan, &merged);
    }
    Ok(())
}

/// The tables of a family, the oldest first.
fn sizes(catalog: &Catalog, family: u32) -> Vec<TableSize> {
    let of_family = catalog.tables.iter().rev().filter(|table| table.family == family);
    of_family
        .map(|table| TableSize {
            bytes: table.record.file_size,
            min_hash: table.record.min_hash,
            max_hash: table.record.max_hash,
        })
        .collect()
}
