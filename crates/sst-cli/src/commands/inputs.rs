//! The tables and directories that a command merges, and `--duplicates`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use sst_merge::{Duplicates, Inputs, MergeError};

use super::Context;
use crate::error::CliError;
use crate::store::{choose_family, is_directory, not_an_sst, read_catalog, reader_options};

/// Which entries of a key are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DuplicatesArg {
    /// The newest entry, which `get` finds: the last one of a load, or the one of the newest input
    /// of a merge
    #[default]
    #[value(alias = "last")]
    Newest,
    /// All entries, which `get --all` finds: in the order of a load's input, or with the newest
    /// input of a merge first
    #[value(alias = "all")]
    Keep,
    /// Exactly one: a second entry of a key is an error
    Error,
}

impl From<DuplicatesArg> for Duplicates {
    fn from(arg: DuplicatesArg) -> Self {
        match arg {
            DuplicatesArg::Newest => Self::Newest,
            DuplicatesArg::Keep => Self::Keep,
            DuplicatesArg::Error => Self::Error,
        }
    }
}

/// The inputs of a merge, opened.
pub(crate) struct OpenInputs {
    pub(crate) inputs: Inputs,
    /// The family of all directories among them; 0 if there are none.
    pub(crate) family: u32,
}

/// Opens directories and `.sst` files, the oldest first. Without `family`, each directory's lowest
/// family is taken, and directories in which these differ are an error. With `--quiet` so is a
/// directory of several families.
pub(crate) fn open_inputs(
    paths: &[PathBuf],
    family: Option<u32>,
    context: Context,
) -> Result<OpenInputs, CliError> {
    let mut inputs = Inputs::new(&reader_options());
    let mut chosen = family;
    for path in paths {
        if !is_directory(path)? {
            inputs.add_table(path).map_err(|error| lone_table_error(path, error))?;
            continue;
        }
        let catalog = read_catalog(path)?;
        let mut of_several = None;
        let of_this = choose_family(&catalog, family, |text| of_several = Some(text.to_owned()))?;
        if let Some(text) = of_several {
            let text = format!("{}: {text}", path.display());
            // Nothing would say that the other families are left out.
            if context.quiet {
                return Err(CliError::Usage(format!("{text}, and --quiet needs it")));
            }
            context.note(text);
        }
        let of_all = *chosen.get_or_insert(of_this);
        if of_all != of_this && !catalog.tables.is_empty() {
            return Err(CliError::Usage(format!(
                "{} has family {of_this} where the others have {of_all}: choose one with --family",
                path.display(),
            )));
        }
        inputs.add_catalog(&Arc::new(catalog), of_this);
    }
    // Tables on their own belong to no family, so their output gets the first one, 0.
    Ok(OpenInputs { inputs, family: chosen.unwrap_or(0) })
}

fn lone_table_error(path: &Path, error: MergeError) -> CliError {
    match error {
        MergeError::Read(error) => not_an_sst(path, error),
        error => error.into(),
    }
}
