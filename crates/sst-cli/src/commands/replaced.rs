//! The content that a command replaces, and the command that brings it back.

use std::path::Path;

use sst_format::SequenceNumber;
use sst_reader::{Catalog, CatalogTable};

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
        Self::of_catalog(&read_catalog(target.publisher().directory())?, family)
    }

    /// The live entries of a family of a bucket. `None` if there are none, or no commit.
    pub(super) fn of_bucket(url: &Path, family: u32) -> Result<Option<Self>, CliError> {
        match read_catalog(url) {
            Ok(catalog) => Self::of_catalog(&catalog, family),
            Err(CliError::NoCurrent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of_catalog(catalog: &Catalog, family: u32) -> Result<Option<Self>, CliError> {
        let of_family = catalog.tables.iter().filter(|table| table.family == family);
        // A directory that we wrote states the entry count of every table. Directories of the
        // original implementation were refused when the target was opened, and are in no bucket.
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
        match retention.keeps_files() {
            true => self.undoable(directory),
            false => format!(
                "{} for good: --keep-generations 0 keeps none of them",
                self.without_advice(directory)
            ),
        }
    }

    /// [`Replaced::text`] of a directory or bucket that keeps what was replaced. Of a bucket, `sst
    /// gc` alone removes it.
    pub(super) fn undoable(&self, place: &Path) -> String {
        let replaced = self.without_advice(place);
        format!("{replaced}; `sst rollback {} {}` undoes this", place.display(), self.commit)
    }

    fn without_advice(&self, place: &Path) -> String {
        let Self { commit, entries } = self;
        format!(
            "{}: {} of generation {commit} replaced",
            place.display(),
            output::entries(*entries)
        )
    }
}
