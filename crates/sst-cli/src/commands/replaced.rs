//! The content that a command replaces, and the command that brings it back.

use std::path::Path;

use sst_format::SequenceNumber;
use sst_reader::CatalogTable;

use super::retention_args::RetentionArgs;
use super::target::Target;
use crate::error::CliError;
use crate::output;
use crate::store::read_catalog;

/// The live entries that a command replaces.
pub(super) struct Replaced {
    commit: SequenceNumber,
    entries: u64,
}

impl Replaced {
    /// The live entries of a family of the target. `None` if there are none.
    pub(super) fn of(target: &mut Target, family: u32) -> Result<Option<Self>, CliError> {
        if target.publisher().current().is_none() {
            return Ok(None);
        }
        let catalog = read_catalog(target.publisher().directory())?;
        let of_family = catalog.tables.iter().filter(|table| table.family == family);
        // A directory that we wrote states the entry count of every table. Directories of the
        // original implementation were refused when the target was opened.
        let entries: Option<u64> = of_family.map(CatalogTable::entry_count).sum();
        let no_count = CliError::Internal("a protected table states its number of entries");
        let entries = entries.ok_or(no_count)?;
        Ok((entries > 0).then_some(Self { commit: catalog.commit, entries }))
    }

    /// The note of `--dry-run`: what this command would replace.
    pub(super) fn would_be(&self, directory: &Path) -> String {
        let Self { commit, entries } = self;
        let (entries, directory) = (output::entries(*entries), directory.display());
        format!("{directory}: {entries} of generation {commit} would be replaced")
    }

    /// The note of a command: what it replaced, and the command that undoes it.
    pub(super) fn text(&self, directory: &Path, retention: RetentionArgs) -> String {
        let Self { commit, entries } = self;
        let (entries, directory) = (output::entries(*entries), directory.display());
        let replaced = format!("{directory}: {entries} of generation {commit} replaced");
        match retention.keeps_files() {
            true => format!("{replaced}; `sst rollback {directory} {commit}` undoes this"),
            false => format!("{replaced} for good: --keep-generations 0 keeps none of them"),
        }
    }
}
