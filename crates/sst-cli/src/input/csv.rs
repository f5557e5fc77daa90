//! Comma-separated values, or values separated by another byte: one entry per row.
//!
//! Quotes work as in RFC 4180. The first row names the columns unless `--no-header` says that it is an entry. The key is
//! in the first column or `--key-column`, the value in `--value-column`. Without that, the value is all columns but
//! the key's: the cell itself if there is one, else a line of CSV with the same delimiter. Every row has as many
//! columns as the first. Empty lines are passed over.
//!
//! A row with a quoted line end takes several lines; errors name the first one.

use std::io::{self, BufRead};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::lines::LineByLine;
use super::{EntryReader, InputEntry, InputError, LineError};
use crate::commands::load::args::{Column, InputArgs};

pub(super) struct CsvReader<R> {
    rows: Reader<LineByLine<R>>,
    row: ByteRecord,
    delimiter: u8,
    key_column: usize,
    value_column: Option<usize>,
    delete_marker: Option<Vec<u8>>,
}

impl<R: BufRead> CsvReader<R> {
    pub(super) fn new(source: R, options: &InputArgs) -> Result<Self, InputError> {
        let delimiter = options.delimiter.unwrap_or(b',');
        let has_header = !options.no_header;
        let mut rows = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(has_header)
            .from_reader(LineByLine::new(source));
        let names = match has_header {
            true => rows.byte_headers().map_err(|cause| error(cause, 1))?.clone(),
            false => ByteRecord::new(),
        };
        let index = |column: &Column| match column {
            Column::Index(index) => Ok(*index),
            Column::Name(name) => names
                .iter()
                .position(|cell| cell == name.as_bytes())
                .ok_or_else(|| InputError::NoSuchColumn(name.clone())),
        };
        Ok(Self {
            delimiter,
            key_column: options.key_column.as_ref().map_or(Ok(0), index)?,
            value_column: options.value_column.as_ref().map(index).transpose()?,
            delete_marker: options.delete_marker.clone().map(String::into_bytes),
            row: ByteRecord::new(),
            rows,
        })
    }

    fn take_row(&self, entry: &mut InputEntry) -> Result<(), LineError> {
        let cell = |index: usize| {
            let no_such_column =
                LineError::NoSuchColumn { number: index + 1, count: self.row.len() };
            self.row.get(index).ok_or(no_such_column)
        };
        entry.key.extend_from_slice(cell(self.key_column)?);
        match self.value_column {
            Some(column) => entry.value.extend_from_slice(cell(column)?),
            None => self.take_other_cells(&mut entry.value),
        }
        if self.delete_marker.as_ref().is_some_and(|marker| *marker == entry.value) {
            entry.value.clear();
            entry.is_deletion = true;
        }
        Ok(())
    }

    /// All cells but the key's.
    fn take_other_cells(&self, value: &mut Vec<u8>) {
        let cells = self.row.iter().enumerate();
        let mut others = cells.filter(|(index, _)| *index != self.key_column).map(|(_, cell)| cell);
        if self.row.len() == 2 {
            value.extend_from_slice(others.next().unwrap_or_default());
            return;
        }
        for (i, cell) in others.enumerate() {
            if i > 0 {
                value.push(self.delimiter);
            }
            append_cell(cell, self.delimiter, value);
        }
    }
}

/// Appends a cell of a line of CSV, in quotes if it needs them.
pub(super) fn append_cell(cell: &[u8], delimiter: u8, line: &mut Vec<u8>) {
    if !cell.iter().any(|byte| [delimiter, b'"', b'\n', b'\r'].contains(byte)) {
        line.extend_from_slice(cell);
        return;
    }
    line.push(b'"');
    for &byte in cell {
        line.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
    }
    line.push(b'"');
}

impl<R: BufRead> EntryReader for CsvReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        let more = self.rows.read_byte_record(&mut self.row);
        // A row ends in the line that was read last, and starts as many lines before as it has line ends in its cells.
        let line_feeds = self.row.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let line = self.rows.get_ref().line().saturating_sub(line_feeds);
        if !more.map_err(|cause| error(cause, line))? {
            return Ok(false);
        }
        entry.clear(line);
        self.take_row(entry).map_err(|cause| InputError::Line { line, cause })?;
        Ok(true)
    }
}

fn error(error: csv::Error, line: u64) -> InputError {
    match error.into_kind() {
        ErrorKind::Io(error) => InputError::Io(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let cause = LineError::ColumnCount { found: len, expected: expected_len };
            InputError::Line { line, cause }
        }
        other => InputError::Io(io::Error::other(format!("{other:?}"))),
    }
}
