//! Comma-separated values, or values separated by another byte: one entry per row.
//!
//! The first row names the columns, unless `--no-header` is given. The key is in the first column
//! or in `--key-column`, the value in `--value-column`. Without `--value-column`, the value is made
//! of all columns except the key's. One such column: the value is the cell itself. Several: the
//! value is a line of CSV with the same delimiter, in which cells have quotes if they need them or
//! are long: a long cell is written before its end is read. All rows must have as many columns as
//! the first. Keys of several columns, values of several named columns and JSON objects: see
//! [`ChosenCells`].
//!
//! A row with a quoted line end covers several lines; errors name the first one.

use std::io::BufRead;

use sst_format::limits::MAX_KEY_LEN;

use super::bounded::{AppendError, Bounded};
use super::csv_cells::ChosenCells;
use super::csv_rows::{CsvRows, RowSink};
use super::input_args::{Column, InputArgs, ValueFormat};
use super::{EntryReader, InputEntry, InputError, LineError, Step, columns};

/// Length of the longest cell that has no quotes in a value of several columns unless it needs
/// them, in bytes. It does not depend on any limit, so that the same rows give the same values.
const MAX_PLAIN_CELL_LEN: usize = 8 << 20;
/// Length of the longest first row, in bytes.
const MAX_HEADER_LEN: usize = 16 << 20;

pub(super) struct CsvReader<R> {
    rows: CsvRows<R>,
    chosen: Chosen,
    delete_marker: Option<Vec<u8>>,
    /// Number of columns; `None` until the first row was read.
    columns: Option<u64>,
}

/// How key and value come out of a row.
enum Chosen {
    /// The key is one cell, and the value one cell or all others: they are written while the row
    /// is read.
    Streamed {
        layout: Layout,
        /// The cell being read, if the value has several columns.
        cell: OpenCell,
    },
    /// The cells are collected first.
    Collected(ChosenCells),
}

/// The columns of the key and the value.
#[derive(Clone, Copy)]
struct Layout {
    key: u64,
    /// `None`: the value is made of all columns except the key's.
    value: Option<u64>,
    delimiter: u8,
    max_value: usize,
}

impl Layout {
    /// The layout of rows with this number of columns. Of two columns, the value is the one that is
    /// not the key's.
    fn of(self, columns: Option<u64>) -> Self {
        match (columns, self.key) {
            (Some(2), key @ (0 | 1)) => Self { value: self.value.or(Some(1 - key)), ..self },
            _ => self,
        }
    }
}

impl<R: BufRead> CsvReader<R> {
    pub(super) fn new(source: R, options: &InputArgs) -> Result<Self, InputError> {
        let delimiter = options.delimiter.unwrap_or(b',');
        let mut rows = CsvRows::new(source, delimiter);
        let names = match options.no_header {
            true => None,
            false => read_header(&mut rows)?,
        };
        let index = |column: &Column| match &names {
            Some(names) => columns::find(column, names).map_err(InputError::Column),
            None => column.index().ok_or_else(|| InputError::NoHeader(column.text().to_owned())),
        };
        let indexes = |columns: &[Column]| {
            let indexes = columns.iter().map(|column| index(column).map(|index| index as u64));
            indexes.collect::<Result<Vec<_>, _>>()
        };
        let (keys, values) = (indexes(options.key_columns())?, indexes(options.value_columns())?);
        let max_value = options.max_value;
        let columns = names.as_ref().map(|names| names.len() as u64);
        let chosen = match (keys.as_slice(), values.as_slice(), options.value_format) {
            ([] | [_], [] | [_], None | Some(ValueFormat::Csv)) => {
                // The key is in the first column, unless an option names another.
                let key = keys.first().copied().unwrap_or(0);
                let value = values.first().copied();
                let layout = Layout { key, value, delimiter, max_value };
                Chosen::Streamed { layout: layout.of(columns), cell: OpenCell::default() }
            }
            _ => Chosen::Collected(ChosenCells::new(keys, values, names, options)?),
        };
        let delete_marker = options.delete_marker.clone().map(String::into_bytes);
        Ok(Self { rows, chosen, delete_marker, columns })
    }
}

impl<R: BufRead> EntryReader for CsvReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError> {
        entry.clear(0);
        let (line, error) = match &mut self.chosen {
            Chosen::Streamed { layout, cell } => {
                // A refused row may have left a part of a cell.
                cell.clear();
                cell.first.clear();
                let is_one = self.columns.is_none();
                let mut sink =
                    EntrySink { layout: *layout, is_one, entry, cell, others: 0, error: None };
                let Some(row) = self.rows.next_row(&mut sink)? else { return Ok(Step::End) };
                let used = [Some(layout.key), layout.value].into_iter().flatten();
                let (line, cells) = (row.line, row.cells);
                let error = row.fault.or_else(|| sink.finish());
                (line, error.or_else(|| fault_of(cells, &mut self.columns, used)))
            }
            Chosen::Collected(chosen) => {
                chosen.clear();
                let Some(row) = self.rows.next_row(chosen)? else { return Ok(Step::End) };
                let (line, cells) = (row.line, row.cells);
                let error = row.fault.or_else(|| chosen.take_error());
                let error = error.or_else(|| fault_of(cells, &mut self.columns, chosen.used()));
                let error = error.or_else(|| chosen.write_to(entry).err());
                (line, error)
            }
        };
        if let Some(cause) = error {
            return Err(InputError::at_line(line, cause));
        }
        if let Chosen::Streamed { layout, .. } = &mut self.chosen {
            *layout = layout.of(self.columns);
        }
        entry.line = line;
        entry.delete_if(self.delete_marker.as_deref());
        Ok(Step::Entry)
    }
}

/// The error of a row with this number of cells, if it has other than the first row, or not those
/// that are used.
fn fault_of(
    cells: u64,
    columns: &mut Option<u64>,
    mut used: impl Iterator<Item = u64>,
) -> Option<LineError> {
    let expected = *columns.get_or_insert(cells);
    match used.find(|index| *index >= cells) {
        _ if cells != expected => Some(LineError::ColumnCount { found: cells, expected }),
        Some(index) => Some(LineError::NoSuchColumn { number: index + 1, count: cells }),
        None => None,
    }
}

/// Collects the cells of a row into an entry.
struct EntrySink<'a> {
    layout: Layout,
    /// Whether the cell of the value may be the only one: only in a first row without names.
    is_one: bool,
    entry: &'a mut InputEntry,
    cell: &'a mut OpenCell,
    /// Number of finished cells of the value, if it is made of all columns except the key's.
    others: u64,
    error: Option<LineError>,
}

/// A cell of a value that has several columns, while it is read.
#[derive(Default)]
struct OpenCell {
    /// The cell; empty once it is longer than any without quotes.
    held: Bounded,
    /// Whether the cell is written to the value, with its opening quote.
    is_written: bool,
    /// The first cell, as long as it may be the only one.
    first: Bounded,
}

impl OpenCell {
    fn clear(&mut self) {
        self.held.clear();
        self.is_written = false;
    }
}

impl EntrySink<'_> {
    fn is_other(&self, cell: u64) -> bool {
        self.layout.value.is_none() && cell != self.layout.key
    }

    fn append(&mut self, cell: u64, bytes: &[u8]) -> Result<(), LineError> {
        let max = self.layout.max_value;
        if cell == self.layout.key {
            self.entry.key.append(bytes, MAX_KEY_LEN).map_err(LineError::of_key)?;
        }
        if self.layout.value == Some(cell) {
            self.entry.value.append(bytes, max)?;
        } else if self.is_other(cell) {
            self.append_other(bytes)?;
        }
        Ok(())
    }

    /// Appends bytes to a cell of a value that may have several columns.
    fn append_other(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let max = self.layout.max_value;
        let of_value = |refused| LineError::of_value(refused, max);
        if self.is_one && self.others == 0 {
            return self.cell.first.append(bytes, max).map_err(of_value);
        }
        if !self.cell.is_written {
            if self.cell.held.len() + bytes.len() <= MAX_PLAIN_CELL_LEN {
                return self.cell.held.append(bytes, max).map_err(of_value);
            }
            self.start_cell()?;
            self.cell.is_written = true;
            let mut put = |bytes: &[u8]| self.entry.value.append(bytes, max);
            put(b"\"")?;
            put_quoted(&self.cell.held, &mut put)?;
            self.cell.held.clear();
        }
        put_quoted(bytes, &mut |bytes| self.entry.value.append(bytes, max))
    }

    /// Ends a cell of a value that may have several columns.
    fn end_other(&mut self) -> Result<(), LineError> {
        let Layout { delimiter, max_value: max, .. } = self.layout;
        if self.cell.is_written {
            self.entry.value.append(b"\"", max)?;
        } else if !self.is_one || self.others > 0 {
            self.start_cell()?;
            let mut put = |bytes: &[u8]| self.entry.value.append(bytes, max);
            append_cell(&self.cell.held, delimiter, &mut put)?;
        }
        self.cell.clear();
        self.others += 1;
        Ok(())
    }

    /// Writes to the value what is before a cell.
    fn start_cell(&mut self) -> Result<(), LineError> {
        let Layout { delimiter, max_value: max, .. } = self.layout;
        let mut put = |bytes: &[u8]| self.entry.value.append(bytes, max);
        if self.is_one && self.others == 1 {
            append_cell(&self.cell.first, delimiter, &mut put)?;
        }
        if self.others > 0 { put(&[delimiter]) } else { Ok(()) }
    }

    /// Ends the row. Returns its error.
    fn finish(self) -> Option<LineError> {
        match self.error {
            // The only cell is the value as it is.
            None if self.is_one && self.others == 1 => {
                self.entry.value.append(&self.cell.first, self.layout.max_value).err()
            }
            error => error,
        }
    }
}

impl RowSink for EntrySink<'_> {
    fn bytes(&mut self, cell: u64, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.append(cell, bytes).err();
        }
    }

    fn end(&mut self, cell: u64) {
        if self.error.is_none() && self.is_other(cell) {
            self.error = self.end_other().err();
        }
    }
}

/// Passes a cell of a line of CSV to `put`, in quotes if it needs them or is long.
pub(super) fn append_cell<E>(
    cell: &[u8],
    delimiter: u8,
    put: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let needs_quotes = |byte: &u8| [delimiter, b'"', b'\n', b'\r'].contains(byte);
    if cell.len() <= MAX_PLAIN_CELL_LEN && !cell.iter().any(needs_quotes) {
        return put(cell);
    }
    put(b"\"")?;
    put_quoted(cell, put)?;
    put(b"\"")
}

/// Passes a part of a cell to `put`, each quote twice.
fn put_quoted<E>(part: &[u8], put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    part.split_inclusive(|&byte| byte == b'"').try_for_each(|piece| {
        put(piece)?;
        if piece.ends_with(b"\"") { put(b"\"") } else { Ok(()) }
    })
}

/// The names of the columns. Empty if the input has no rows.
fn read_header<R: BufRead>(rows: &mut CsvRows<R>) -> Result<Option<Vec<Vec<u8>>>, InputError> {
    let mut header =
        Header { names: Vec::new(), name: Bounded::new(), room: MAX_HEADER_LEN, error: None };
    let Some(row) = rows.next_row(&mut header)? else { return Ok(Some(Vec::new())) };
    match row.fault.or(header.error) {
        Some(cause) => Err(InputError::Header { line: row.line, cause }),
        None => Ok(Some(header.names)),
    }
}

/// Collects the names of the columns.
struct Header {
    names: Vec<Vec<u8>>,
    name: Bounded,
    /// Bytes left for names. Each name takes its length and the size of a `Vec`.
    room: usize,
    error: Option<LineError>,
}

impl RowSink for Header {
    fn bytes(&mut self, _: u64, bytes: &[u8]) {
        if self.error.is_none() {
            let appended = self.name.append(bytes, self.room);
            self.error = appended.err().map(|refused| match refused {
                AppendError::NoMemory(len) => LineError::NoMemory { len },
                AppendError::TooLong => {
                    LineError::TooLong { what: "row of names", max: MAX_HEADER_LEN }
                }
            });
        }
    }

    fn end(&mut self, _: u64) {
        // Even an empty name takes a `Vec`, so the size of one is counted.
        let taken = self.name.len() + size_of::<Vec<u8>>();
        match self.room.checked_sub(taken) {
            Some(room) if self.error.is_none() => {
                self.room = room;
                match self.names.try_reserve(1) {
                    Ok(()) => self.names.push(std::mem::take(&mut self.name).into_vec()),
                    Err(_) => self.error = Some(LineError::NoMemory { len: taken }),
                }
            }
            _ => {
                let too_long = LineError::TooLong { what: "row of names", max: MAX_HEADER_LEN };
                self.error.get_or_insert(too_long);
            }
        }
        self.name.clear();
    }
}
