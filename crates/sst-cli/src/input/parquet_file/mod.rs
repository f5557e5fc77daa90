//! Reads Parquet: one entry per row, from the same columns as CSV.
//!
//! The columns are the leaves of the file's schema; a leaf within a group has a name such as
//! `address.city`. A field with lists or maps is one column, whose cells are JSON (see
//! [`nested_schema`]); so is a group, if an option names it. Key and value are chosen as for CSV. A
//! cell is read as the text that it would have in CSV (see [`cell_text`]), a byte array as its
//! bytes. A null value deletes its key, as in JSON lines; if the value is made of several columns,
//! null is an empty cell, or `null` in an object.
//!
//! A Parquet file is read from its end, so a stream is not enough. Of a row group, one page of each
//! column is read at a time. So memory is bounded by the size of pages, not of the file or of a row
//! group.

mod cell_text;
mod chosen_columns;
mod column;
mod footer;
mod inflated_pages;
mod json_leaf;
mod nested_cells;
mod nested_schema;
mod page_headers;
mod page_memory;
mod parquet_fault;

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use sst_format::limits::MAX_KEY_LEN;

use super::bounded::Bounded;
use super::csv::append_cell;
use super::input_args::{InputArgs, ValueFormat};
use super::json_object::JsonObject;
use super::key_parts::KeyParts;
use super::{EntryReader, InputEntry, InputError, LineError, Step, guard};
use crate::progress::ProgressLine;
use chosen_columns::{ChosenColumn, ChosenColumns};
use column::{CellFault, ColumnCells};
use nested_cells::NestedCells;
pub(crate) use parquet_fault::ParquetFault;

/// Highest number of rows in a batch.
const MAX_BATCH_ROWS: u64 = 4096;
/// Bytes that a batch of rows should have in all columns; a batch has at least one row.
const BATCH_BYTES: u64 = 8 << 20;
/// Highest length of a page beyond the longest value, in bytes: a page contains whole values.
const MAX_PAGE_LEN_BEYOND_VALUE: u64 = 64 << 20;
/// The first bytes of a Parquet file.
const MAGIC: &[u8] = b"PAR1";

/// The rows of a file, in order.
pub(super) struct ParquetReader {
    file: Arc<File>,
    metadata: ParquetMetaData,
    columns: ChosenColumns,
    key_separator: Vec<u8>,
    delimiter: u8,
    value_format: ValueFormat,
    nulls_delete: bool,
    delete_marker: Option<Vec<u8>>,
    progress: ProgressLine,
    /// The current row group.
    group: RowGroup,
    /// Number of the current row, from 1; 0 before the first.
    row: u64,
    /// The text of one cell of a value that is made of several columns.
    cell: Bounded,
    max_value: usize,
}

/// The current row group and its position in it.
#[derive(Default)]
struct RowGroup {
    /// The row group's number, from 1; 0 before the first.
    number: usize,
    /// Rows that are neither passed nor in the batch.
    rows: u64,
    /// Rows of the batch that were not passed yet.
    held: u64,
    /// Rows in a batch.
    batch: u64,
    /// The columns of the key, then those of the value.
    cells: Vec<Box<dyn ColumnCells>>,
}

impl ParquetReader {
    /// Reads the metadata of a file, and finds the columns.
    pub(super) fn new(
        mut file: File,
        options: &InputArgs,
        progress: impl FnOnce(u64) -> ProgressLine,
    ) -> Result<Self, InputError> {
        check_start(&mut file)?;
        footer::check(&file)?;
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file));
        let metadata = metadata.map_err(ParquetFault::Outline)?;
        let rows = metadata.row_groups().iter().map(rows_of).sum::<Result<u64, _>>()?;
        Ok(Self {
            columns: ChosenColumns::new(metadata.file_metadata().schema_descr(), options)?,
            key_separator: options.key_separator().to_owned(),
            value_format: options.value_format.unwrap_or(ValueFormat::Csv),
            nulls_delete: options.nulls_delete(),
            delimiter: options.delimiter.unwrap_or(b','),
            delete_marker: options.delete_marker.clone().map(String::into_bytes),
            progress: progress(rows),
            group: RowGroup::default(),
            row: 0,
            cell: Bounded::new(),
            max_value: options.max_value,
            file: Arc::new(file),
            metadata,
        })
    }

    /// Moves to the next row. `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, ParquetFault> {
        while self.group.held == 0 {
            if self.group.rows == 0 && !self.next_group()? {
                return Ok(false);
            }
            self.next_batch()?;
        }
        self.group.held -= 1;
        self.row += 1;
        let group = self.metadata.row_groups().get(self.group.number.wrapping_sub(1));
        let group = group.ok_or_else(|| ParquetFault::internal("a row belongs to a row group"))?;
        for (cells, column) in self.group.cells.iter_mut().zip(self.columns.iter()) {
            guarded(|| cells.advance()).map_err(|cause| {
                // The row that was just begun is the one that cannot be read.
                let column = group.column(column.leaf);
                ParquetFault::at(self.group.number, column, self.row - 1, cause)
            })?;
        }
        Ok(true)
    }

    fn next_group(&mut self) -> Result<bool, ParquetFault> {
        self.end_group()?;
        let Some(group) = self.metadata.row_groups().get(self.group.number) else {
            return Ok(false);
        };
        let number = self.group.number + 1;
        let max_page_len = self.max_value as u64 + MAX_PAGE_LEN_BEYOND_VALUE;
        let (mut cells, mut bytes) = (Vec::new(), 1);
        for ChosenColumn { leaf, nested, .. } in self.columns.iter() {
            let leaf = *leaf;
            let fault = |cause| ParquetFault::at(number, group.column(leaf), self.row, cause);
            let column = guarded(|| match nested {
                None => column::open(&self.file, group, leaf, max_page_len),
                Some(schema) => NestedCells::open(&self.file, group, schema, leaf, max_page_len),
            });
            cells.push(column.map_err(fault)?);
            // A negative size is an error in the file but harmless: the rows are treated as short.
            bytes += group.column(leaf).uncompressed_size().max(0).cast_unsigned();
        }
        let rows = rows_of(group)?;
        // Long rows make small batches, since each row may keep a page in memory. If the product
        // saturates, rows are very short, and the batch is clamped to its highest size anyway.
        let batch = BATCH_BYTES.saturating_mul(rows) / bytes;
        let batch = batch.clamp(1, self.max_batch_rows(group));
        self.group = RowGroup { number, rows, held: 0, batch, cells };
        Ok(true)
    }

    /// Highest number of rows in a batch of a row group. A value that is encoded as a difference to
    /// the one before may be as long as its page, whatever it takes in the page.
    fn max_batch_rows(&self, group: &RowGroupMetaData) -> u64 {
        let mut columns = self.columns.iter().map(|chosen| group.column(chosen.leaf));
        let are_differences = columns.any(|column| {
            column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY)
        });
        if are_differences { 1 } else { MAX_BATCH_ROWS }
    }

    fn next_batch(&mut self) -> Result<(), ParquetFault> {
        let group = self.metadata.row_groups().get(self.group.number.wrapping_sub(1));
        let group =
            group.ok_or_else(|| ParquetFault::internal("a batch belongs to a row group"))?;
        let rows = self.group.rows.min(self.group.batch);
        let count = usize::try_from(rows).map_err(|error| ParquetFault::Outline(error.into()))?;
        for (cells, column) in self.group.cells.iter_mut().zip(self.columns.iter()) {
            let (number, column) = (self.group.number, group.column(column.leaf));
            let filled = guarded(|| cells.fill(count));
            filled.map_err(|cause| ParquetFault::at(number, column, self.row, cause))?;
        }
        self.group.rows -= rows;
        self.group.held = rows;
        self.progress.advance(rows);
        Ok(())
    }

    /// Checks that the columns of the current row group have no more rows than its metadata states.
    fn end_group(&mut self) -> Result<(), ParquetFault> {
        let Some(group) = self.metadata.row_groups().get(self.group.number.wrapping_sub(1)) else {
            // Before the first row group there is nothing to check.
            return Ok(());
        };
        for (cells, column) in self.group.cells.iter_mut().zip(self.columns.iter()) {
            let (number, column) = (self.group.number, group.column(column.leaf));
            let ended = guarded(|| cells.end());
            ended.map_err(|cause| ParquetFault::at(number, column, self.row, cause))?;
        }
        Ok(())
    }

    fn read_row(&mut self, entry: &mut InputEntry) -> Result<(), InputError> {
        let row = self.row;
        let (keys, values) = match self.group.cells.split_at_mut_checked(self.columns.keys.len()) {
            Some(cells) => cells,
            None => return Err(ParquetFault::internal("the columns of the key are read").into()),
        };
        let mut parts = KeyParts::new(&mut entry.key, &self.key_separator, keys.len());
        for key in keys {
            self.cell.clear();
            let key = key.append_to(&mut self.cell, MAX_KEY_LEN);
            if !key.map_err(|fault| fault_of(row, fault, LineError::of_key))? {
                return Err(InputError::Row { row, cause: LineError::NullKey });
            }
            parts.add(&self.cell).map_err(|cause| InputError::Row { row, cause })?;
        }
        let max = self.max_value;
        let of_value = |fault| fault_of(row, fault, |refused| LineError::of_value(refused, max));
        let value = RowValue {
            format: self.value_format,
            delimiter: self.delimiter,
            max,
            cell: &mut self.cell,
        };
        let is_null = value.write(values, &self.columns.values, entry.value.held_mut());
        entry.is_deletion = is_null.map_err(of_value)? && self.nulls_delete;
        entry.delete_if(self.delete_marker.as_deref());
        Ok(())
    }
}

/// Makes a value out of the cells of a row.
struct RowValue<'a> {
    format: ValueFormat,
    delimiter: u8,
    max: usize,
    /// Room for one cell.
    cell: &'a mut Bounded,
}

impl RowValue<'_> {
    /// Appends the value. `true` if it is a single cell that is null.
    fn write(
        self,
        cells: &mut [Box<dyn ColumnCells>],
        columns: &[ChosenColumn],
        out: &mut Bounded,
    ) -> Result<bool, CellFault> {
        let Self { format, delimiter, max, cell } = self;
        match (format, cells) {
            (ValueFormat::Csv, [only]) => Ok(!only.append_to(out, max)?),
            (ValueFormat::Csv, cells) => {
                for (i, value) in cells.iter_mut().enumerate() {
                    if i > 0 {
                        out.append(&[delimiter], max)?;
                    }
                    cell.clear();
                    // Null is an empty cell.
                    value.append_to(cell, max)?;
                    append_cell(cell, delimiter, &mut |bytes| out.append(bytes, max))?;
                }
                Ok(false)
            }
            (ValueFormat::Json, cells) => {
                let mut object = JsonObject::new(out, max);
                for (value, column) in cells.iter_mut().zip(columns) {
                    let out = object.name(&column.name)?;
                    if !value.append_json_to(out, max)? {
                        out.append(b"null", max)?;
                    }
                }
                object.end()?;
                Ok(false)
            }
        }
    }
}

fn fault_of(
    row: u64,
    fault: CellFault,
    refused: impl FnOnce(super::bounded::AppendError) -> LineError,
) -> InputError {
    match fault {
        CellFault::Append(cause) => InputError::Row { row, cause: refused(cause) },
        CellFault::Line(cause) => InputError::Row { row, cause },
        CellFault::Levels => InputError::Row { row, cause: LineError::Levels },
        CellFault::Internal(invariant) => ParquetFault::internal(invariant).into(),
    }
}

/// Calls the decoder; see [`guard::guarded`].
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    match guard::guarded(decode) {
        Ok(result) => result,
        Err(panic) => Err(ParquetError::General(panic.to_string())),
    }
}

impl EntryReader for ParquetReader {
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError> {
        if !self.advance()? {
            return Ok(Step::End);
        }
        entry.clear(self.row);
        self.read_row(entry)?;
        Ok(Step::Entry)
    }
}

/// Checks the first bytes. Their error says more than that of the metadata at the file's end.
fn check_start(file: &mut File) -> Result<(), InputError> {
    let mut start = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    match super::compression::Compression::of(&start) {
        Some(_) => Err(ParquetFault::Compressed.into()),
        None if start != MAGIC => Err(ParquetFault::NotParquet.into()),
        None => Ok(()),
    }
}

fn rows_of(group: &RowGroupMetaData) -> Result<u64, ParquetFault> {
    u64::try_from(group.num_rows()).map_err(|error| ParquetFault::Outline(error.into()))
}

#[cfg(test)]
mod tests;
