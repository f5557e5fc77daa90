//! `sst merge --in-place`: replaces the tables of a directory by merged ones.

use std::path::Path;
use std::time::Instant;

use sst_merge::compact;
use sst_reader::CatalogTable;
use sst_writer::Publisher;

use super::merged::Merged;
use super::{MergeArgs, note_not_removed, publisher_options};
use crate::commands::Context;
use crate::commands::interrupt::entries_monitor;
use crate::commands::target::{check_directory, error_after};
use crate::error::CliError;
use crate::exit::Exit;
use crate::store::{read_catalog, reader_options};

pub(super) fn compact_directory(args: &MergeArgs, context: Context) -> Result<Exit, CliError> {
    let [directory] = args.inputs.as_slice() else {
        return Err(CliError::Usage("--in-place needs exactly one directory".to_owned()));
    };
    // `Publisher::open` removes the leftovers of failed commits. So first check that this is a
    // directory of ours with a commit.
    let all = read_catalog(directory)?.families();
    let families = args.family.map_or(all, |family| [family].into());
    check_directory(directory)?;
    let options = publisher_options(args).create_directory(false);
    let mut publisher = Publisher::open(directory, options)?;
    // A number that memory cannot count is more than all tables.
    let newest =
        args.newest.map_or(usize::MAX, |newest| usize::try_from(newest).unwrap_or(usize::MAX));
    let options = args.tables.merge_options().duplicates(args.duplicates.into());
    let (mut done, count) = (0, families.len());
    for family in families {
        let started = Instant::now();
        let entries = entry_count(directory, family)?;
        let bar = context.progress.entries_if_known(entries, "merge");
        let before = publisher.current();
        let monitor = entries_monitor(&bar);
        let compacted =
            compact(&mut publisher, family, newest, &options, &reader_options(), &monitor);
        let compaction = compacted.map_err(|error| {
            let error = CliError::from(error).into_interrupted_at(directory, done, count);
            error_after(&publisher, before, error)
        })?;
        drop(bar);
        let Some(compaction) = compaction else { continue };
        note_not_removed(&compaction.not_removed, context);
        let commit = compaction.commit.0;
        let replaced = Some(compaction.replaced_tables);
        Merged::new(directory, Some(family), Some(commit), replaced, &compaction.report, started)
            .print(context)
            .map_err(|error| error.after_commit(directory, commit))?;
        done += 1;
    }
    if done == 0 {
        note_not_removed(publisher.not_removed(), context);
        context.note(format_args!("{}: there are no tables to merge", directory.display()));
    }
    Ok(Exit::Success)
}

/// The number of entries of all tables of a family; `None` if a table's description lacks it.
fn entry_count(directory: &Path, family: u32) -> Result<Option<u64>, CliError> {
    let catalog = read_catalog(directory)?;
    let tables = catalog.tables.iter().filter(|table| table.family == family);
    Ok(tables.map(CatalogTable::entry_count).sum())
}
