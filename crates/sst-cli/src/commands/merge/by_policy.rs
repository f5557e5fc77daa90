//! `sst merge --auto`: merges what a policy chooses.

use std::path::Path;
use std::time::Instant;

use indicatif::HumanBytes;
use serde::Serialize;
use sst_merge::{MergePlan, MergePolicy, auto_compact, plan_compaction};
use sst_writer::{PublishError, Publisher};

use super::merged::Merged;
use super::{MergeArgs, note_not_removed, publisher_options};
use crate::commands::Context;
use crate::commands::interrupt::entries_monitor;
use crate::commands::target::{check_directory, error_after};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::store::{read_catalog, reader_options};

/// Removes what a merge has left that was killed. No commit follows that would do it.
fn remove_leftovers(directory: &Path, args: &MergeArgs, context: Context) -> Result<(), CliError> {
    check_directory(directory)?;
    match Publisher::open(directory, publisher_options(args).create_directory(false)) {
        Ok(mut publisher) => {
            publisher.remove_leftover_files()?;
            note_not_removed(publisher.not_removed(), context);
            Ok(())
        }
        // Another writer is at work, and removes them itself.
        Err(PublishError::Locked { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Merges what a policy chooses, family by family.
pub(super) fn compact_by_policy(args: &MergeArgs, context: Context) -> Result<Exit, CliError> {
    let [directory] = args.inputs.as_slice() else {
        return Err(CliError::Usage("--auto needs exactly one directory".to_owned()));
    };
    let catalog = read_catalog(directory)?;
    if let Some(shard) = catalog.shard {
        let (path, index, count) = (directory.clone(), shard.index, shard.count);
        return Err(PublishError::OfShard { path, index, count }.into());
    }
    let families = args.family.map_or_else(|| catalog.families(), |family| [family].into());
    let policy = policy(args);
    let plans = families.iter().map(|&family| (family, plan_compaction(&catalog, family, &policy)));
    let plans: Vec<_> = plans.filter(|(_, plans)| !plans.is_empty()).collect();
    if plans.is_empty() {
        if !args.dry_run {
            remove_leftovers(directory, args, context)?;
        }
        context.note(format_args!("{}: there is nothing to merge", directory.display()));
        return Ok(Exit::Success);
    }
    if args.dry_run {
        return print_plans(directory, &plans, context);
    }
    drop(catalog);
    check_directory(directory)?;
    let mut publisher =
        Publisher::open(directory, publisher_options(args).create_directory(false))?;
    let options = args.tables.merge_options().duplicates(args.duplicates.into());
    let count = plans.len();
    for (done, (family, _)) in plans.into_iter().enumerate() {
        let bar = context.progress.entries_if_known(None, "merge");
        let mut before = publisher.current();
        let (mut started, mut merges) = (Instant::now(), Vec::new());
        let merged = auto_compact(
            &mut publisher,
            family,
            &policy,
            &options,
            &reader_options(),
            &entries_monitor(&bar),
            |_, compaction| {
                note_not_removed(&compaction.not_removed, context);
                let commit = compaction.commit.0;
                let replaced = Some(compaction.replaced_tables);
                let report = &compaction.report;
                let of_merge =
                    Merged::new(directory, Some(family), Some(commit), replaced, report, started);
                merges.push((commit, of_merge));
                (started, before) = (Instant::now(), Some(compaction.commit));
            },
        );
        drop(bar);
        // Print the merges that were published before the error.
        for (commit, merge) in merges {
            merge.print(context).map_err(|error| error.after_commit(directory, commit))?;
        }
        merged.map_err(|error| {
            let error = CliError::from(error).into_interrupted_at(directory, done, count);
            error_after(&publisher, before, error)
        })?;
    }
    Ok(Exit::Success)
}

fn policy(args: &MergeArgs) -> MergePolicy {
    let mut policy = MergePolicy::default();
    if let Some(max_layers) = args.max_layers {
        policy = policy.max_layers(max_layers.into());
    }
    if let Some(max_bytes) = args.max_bytes {
        policy = policy.max_bytes(max_bytes);
    }
    if let Some(percent) = args.max_space {
        policy = policy.max_space_percent(percent);
    }
    if let Some(percent) = args.replaced {
        policy = policy.replaced_percent(percent);
    }
    policy
}

/// A merge that would be done, as JSON.
#[derive(Serialize)]
struct Planned {
    path: String,
    family: u32,
    layers: usize,
    tables: u64,
    bytes: u64,
}

fn print_plans(
    directory: &Path,
    families: &[(u32, Vec<MergePlan>)],
    context: Context,
) -> Result<Exit, CliError> {
    let mut output = Output::stdout();
    for (family, plans) in families {
        for plan in plans {
            let MergePlan { layers, bytes, .. } = *plan;
            let tables = plan.tables.len() as u64;
            let name = directory.display().to_string();
            if context.json {
                output.report(&Planned { path: name, family: *family, layers, tables, bytes })?;
            } else {
                output.report_line(format_args!(
                    "{name}, family {family}: would merge {} in {}, {}",
                    counted(tables, "table"),
                    counted(layers as u64, "layer"),
                    HumanBytes(bytes),
                ))?;
            }
        }
    }
    output.finish()?;
    Ok(Exit::Success)
}
