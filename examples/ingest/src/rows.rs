//! Reads rows of CSV and TSV.

use std::io::BufRead;
use std::path::Path;

use clap::Args;
use sst_writer::BulkError;
use sst_writer::bulk::BulkHandle;

use crate::cells::{CellError, Rows};

/// The layout of the input.
#[derive(Clone, Debug, Args)]
pub(crate) struct Layout {
    /// Columns are separated by tabs and not quoted [default: if the name of the file ends in .tsv]
    #[arg(long)]
    pub(crate) tsv: bool,

    /// The first row is an entry, not the names of the columns
    #[arg(long)]
    pub(crate) no_header: bool,

    /// Column of the key, counted from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = column)]
    pub(crate) key_column: usize,

    /// Column of the value, counted from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = column)]
    pub(crate) value_column: usize,

    /// A row with this value deletes its key
    #[arg(long, value_name = "TEXT")]
    pub(crate) delete_marker: Option<String>,
}

fn column(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("columns are counted from 1"),
        Ok(number) => Ok(number),
    }
}

impl Layout {
    /// The layout of a file, with `tsv` set if the file's name ends in `.tsv`.
    pub(crate) fn for_file(&self, path: &Path) -> Self {
        let is_tsv = path.extension().is_some_and(|extension| extension == "tsv");
        Self { tsv: self.tsv || is_tsv, ..self.clone() }
    }
}

/// The reason why rows could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error(transparent)]
    Cells(#[from] CellError),
    #[error("there are no rows: an input that broke off would replace everything by nothing")]
    NoRows,
    #[error("line {line}: there is no column {column}")]
    NoColumn { line: u64, column: usize },
    #[error(transparent)]
    Bulk(#[from] BulkError),
}

/// Feeds all rows of `input` to the loader.
pub(crate) fn put_rows(
    input: impl BufRead,
    layout: &Layout,
    handle: &mut BulkHandle,
) -> Result<(), RowError> {
    let mut rows = Rows::new(input, layout.tsv).map_err(CellError::Io)?;
    if !layout.no_header {
        rows.advance()?;
    }
    let mut is_empty = true;
    while rows.advance()? {
        is_empty = false;
        let line = rows.line();
        let cell = |column: usize| rows.cell(column - 1).ok_or(RowError::NoColumn { line, column });
        let (key, value) = (cell(layout.key_column)?, cell(layout.value_column)?);
        match &layout.delete_marker {
            Some(marker) if value == marker.as_bytes() => handle.delete(key)?,
            _ => handle.put(key, value)?,
        }
    }
    if is_empty { Err(RowError::NoRows) } else { Ok(()) }
}
