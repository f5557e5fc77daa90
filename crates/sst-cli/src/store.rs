//! Opens the directory or table that a path on the command line names.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_amqf::QuotientFilter;
use sst_format::file_name::{CURRENT_FILE_NAME, FileName};
use sst_format::{FormatError, Structure};
use sst_reader::{
    Access, BlockCache, Catalog, CatalogTable, Corruption, ReadError, ReaderOptions, SstSet,
    StaticSortedFile,
};
use sst_writer::publish::FIRST_COMMIT_FILE_NAME;

use crate::error::CliError;
use crate::url;

/// The options with which all commands open files: positioned reads, so that a file truncated by
/// another process gives an error and not a signal; URLs through their stores; and the filters of
/// the format.
pub(crate) fn reader_options() -> ReaderOptions {
    let cache: Arc<BlockCache> = Arc::default();
    let options = ReaderOptions::default().access(Access::Read).files(url::files());
    options.cache(cache).filter(QuotientFilter::default())
}

/// A directory or table in which keys can be looked up.
pub(crate) enum Store {
    /// One key space of a directory.
    Directory(Box<SstSet>),
    /// One table without its directory.
    Table(Box<StaticSortedFile>),
}

impl Store {
    /// Opens the directory or table at `path`. `family` is valid for directories only. Without it,
    /// the lowest family is opened, and `note` gets a message if there are others.
    pub(crate) fn open(
        path: &Path,
        family: Option<u32>,
        note: impl FnOnce(&str),
    ) -> Result<Self, CliError> {
        let options = reader_options();
        if !is_directory(path)? {
            return match family {
                None => Ok(Self::Table(Box::new(open_table(path, &options)?.file))),
                Some(_) => Err(CliError::Usage("--family is for directories".to_owned())),
            };
        }
        let catalog = read_catalog(path)?;
        let family = choose_family(&catalog, family, note)?;
        Ok(Self::Directory(Box::new(SstSet::from_catalog(catalog, family, &options))))
    }
}

/// Whether `path` is a directory. Fails if `path` does not exist; of a URL the name tells.
pub(crate) fn is_directory(path: &Path) -> Result<bool, CliError> {
    if url::is_url(path) {
        return Ok(url::is_directory(path));
    }
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) => Err(CliError::io("open", path, error)),
    }
}

/// Reads the meta files of a directory.
pub(crate) fn read_catalog(dir: &Path) -> Result<Catalog, CliError> {
    match Catalog::read_with(dir, &reader_options()) {
        Err(ReadError::Io { file, source, .. })
            if source.kind() == io::ErrorKind::NotFound
                && file.path().ends_with(CURRENT_FILE_NAME) =>
        {
            let has_files = has_numbered_files(dir);
            let has_files = has_files.map_err(|error| CliError::io("list", dir, error))?;
            let is_marked = dir.join(FIRST_COMMIT_FILE_NAME);
            let is_marked = !url::is_url(dir)
                && is_marked
                    .try_exists()
                    .map_err(|error| CliError::io("look for", &is_marked, error))?;
            Err(match is_marked {
                true => CliError::NoFirstCommit(dir.to_owned()),
                false => CliError::NoCurrent { dir: dir.to_owned(), has_files },
            })
        }
        catalog => Ok(catalog?),
    }
}

/// Whether a directory has files of the format with numbers in their names. One that does not exist
/// has none.
fn has_numbered_files(dir: &Path) -> io::Result<bool> {
    // Not every store has lists.
    if url::is_url(dir) {
        return Ok(false);
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if entry?.file_name().to_str().and_then(FileName::parse).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a family that a directory neither has nor certifies.
pub(crate) fn check_family(catalog: &Catalog, family: u32) -> Result<(), CliError> {
    match catalog.certificate(family) {
        Some(_) => Ok(()),
        None => choose_family(catalog, Some(family), |_| {}).map(drop),
    }
}

/// The family to open: `family` if it exists, or without `family` the lowest one.
pub(crate) fn choose_family(
    catalog: &Catalog,
    family: Option<u32>,
    note: impl FnOnce(&str),
) -> Result<u32, CliError> {
    let families = catalog.families();
    let list = || families.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    match (family, families.first()) {
        (Some(family), Some(_)) if !families.contains(&family) => {
            let dir = catalog.dir.display();
            Err(CliError::Usage(format!("{dir} has no family {family}: it has {}", list())))
        }
        (Some(family), _) => Ok(family),
        (None, None) => Ok(0),
        (None, Some(&lowest)) => {
            if families.len() > 1 {
                note(&format!(
                    "the directory has families {}: this is {lowest}, --family chooses another",
                    list()
                ));
            }
            Ok(lowest)
        }
    }
}

/// A table opened by its path.
pub(crate) struct TableAtPath {
    /// The table.
    pub(crate) file: StaticSortedFile,
    /// The table's description in its directory; `None` if there is none.
    pub(crate) described: Option<CatalogTable>,
}

/// Opens the table at `path`: with its description if its directory has one, otherwise standalone.
pub(crate) fn open_table(path: &Path, options: &ReaderOptions) -> Result<TableAtPath, CliError> {
    // Damage in the other files of the directory must not prevent opening the table.
    if let Some((_, described)) = Catalog::around_table(path, options)? {
        let file = StaticSortedFile::open(path, &described.meta()?, options)?;
        return Ok(TableAtPath { file, described: Some(described) });
    }
    match StaticSortedFile::open_standalone(path, options) {
        Ok(file) => Ok(TableAtPath { file, described: None }),
        Err(error) => Err(not_an_sst(path, error)),
    }
}

/// The error for a table without a description. The file may not be a table at all.
pub(crate) fn not_an_sst(path: &Path, error: ReadError) -> CliError {
    match error {
        ReadError::Corrupt { cause: Corruption::Format(error), .. } if is_no_outline(error) => {
            CliError::NotAnSst(path.to_owned())
        }
        error => error.into(),
    }
}

/// Whether the end of the file does not look like an offset table.
fn is_no_outline(error: FormatError) -> bool {
    matches!(error, FormatError::WrongLen { structure: Structure::OffsetTable, .. })
}
