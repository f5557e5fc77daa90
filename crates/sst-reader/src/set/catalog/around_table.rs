//! The catalog of the directory in which a table lies.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use sst_format::file_name::{FileKind, FileName};

use super::super::CatalogTable;
use super::Catalog;
use crate::{Access, ReadError, ReaderOptions};

impl Catalog {
    /// Reads the directory in which the table at `path` lies, through the
    /// [store](ReaderOptions::files) of `options` if that serves it. Returns its catalog and, out
    /// of it, the description of the table. `None` if the file does not have the name of a table,
    /// if there is no `CURRENT`, if the catalog is damaged, or if the table is not live: a table
    /// can be read without its directory, whose other files may be damaged or none of ours.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the catalog cannot be read for another reason. The table may then have a
    /// filter and a protection, of which nothing is known.
    pub fn around_table(
        path: impl AsRef<Path>,
        options: &ReaderOptions,
    ) -> Result<Option<(Self, CatalogTable)>, ReadError> {
        let path = path.as_ref();
        let name = path.file_name().and_then(OsStr::to_str).and_then(FileName::parse);
        let Some(FileName { sequence, kind: FileKind::Sst }) = name else { return Ok(None) };
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            Some(_) | None => Path::new("."),
        };
        let catalog = match Self::read_with(dir, &options.clone().access(Access::Read)) {
            Ok(catalog) => catalog,
            Err(error) if error.is_corruption() || is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let table = catalog.tables.iter().find(|table| table.sequence == sequence).cloned();
        Ok(table.map(|table| (catalog, table)))
    }
}

fn is_missing(error: &ReadError) -> bool {
    matches!(error, ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
