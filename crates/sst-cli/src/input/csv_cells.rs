//! Keys and values that are made of several columns of CSV, in the order in which options name
//! them.

use sst_format::limits::MAX_KEY_LEN;

use super::bounded::Bounded;
use super::csv::append_cell;
use super::csv_rows::RowSink;
use super::input_args::{InputArgs, ValueFormat};
use super::json_object::{JsonObject, append_string};
use super::key_parts::KeyParts;
use super::{InputEntry, InputError, LineError, columns};

/// Highest number of columns of an input without names of columns.
const MAX_UNNAMED: usize = 1 << 16;

/// The cells of a row that make up its key and its value.
pub(super) struct ChosenCells {
    /// The columns of the key.
    keys: Vec<u64>,
    key_separator: Vec<u8>,
    /// The columns of the value; empty for all except the key's.
    values: Vec<u64>,
    format: ValueFormat,
    delimiter: u8,
    /// The names of the columns; empty if there are none, or if they are not needed.
    names: Vec<String>,
    /// Number of columns, if there are names.
    columns: Option<usize>,
    max_value: usize,
    /// The cells of the row, as many as it has; those that are not needed are empty.
    cells: Vec<Bounded>,
    /// Number of cells of the row that were read.
    len: usize,
    /// Bytes that the cells may still have.
    room: usize,
    error: Option<LineError>,
}

impl ChosenCells {
    pub(super) fn new(
        keys: Vec<u64>,
        values: Vec<u64>,
        names: Option<Vec<Vec<u8>>>,
        options: &InputArgs,
    ) -> Result<Self, InputError> {
        let to_text = |name: Vec<u8>| {
            String::from_utf8(name).map_err(|error| InputError::Header {
                line: 1,
                cause: LineError::NotUtf8 { at: error.utf8_error().valid_up_to() + 1 },
            })
        };
        let format = options.value_format.unwrap_or(ValueFormat::Csv);
        let columns = names.as_ref().map(Vec::len);
        // Only an object needs the names; without `--no-header` there are some.
        let names = match (format, names) {
            (ValueFormat::Json, Some(names)) => names.into_iter().map(to_text).collect(),
            _ => Ok(Vec::new()),
        };
        let names: Vec<String> = names?;
        let keys = if keys.is_empty() { vec![0] } else { keys };
        let of_value = (0..).zip(&names).filter(|(index, _)| match values.as_slice() {
            [] => !keys.contains(index),
            named => named.contains(index),
        });
        columns::check_unique(of_value.map(|(_, name)| name.as_str()))
            .map_err(InputError::Column)?;
        Ok(Self {
            keys,
            key_separator: options.key_separator().to_owned(),
            values,
            format,
            delimiter: options.delimiter.unwrap_or(b','),
            names,
            columns,
            max_value: options.max_value,
            cells: Vec::new(),
            len: 0,
            room: 0,
            error: None,
        })
    }

    /// Forgets the cells of the row before.
    pub(super) fn clear(&mut self) {
        self.cells.iter_mut().for_each(Bounded::clear);
        self.len = 0;
        self.room = self.max_len();
        self.error = None;
    }

    /// Highest number of bytes of key and value together.
    const fn max_len(&self) -> usize {
        // If the sum saturates, it is more than the address space has.
        self.max_value.saturating_add(MAX_KEY_LEN)
    }

    pub(super) fn take_error(&mut self) -> Option<LineError> {
        self.error.take()
    }

    /// The columns that options name.
    pub(super) fn used(&self) -> impl Iterator<Item = u64> {
        self.keys.iter().chain(&self.values).copied()
    }

    /// Makes room for the cell that is being read.
    fn add_cell(&mut self) -> Result<(), LineError> {
        if self.cells.len() == self.len {
            let reserved = self.cells.try_reserve(1);
            reserved.map_err(|_| LineError::NoMemory { len: self.len })?;
            self.cells.push(Bounded::new());
        }
        Ok(())
    }

    fn is_needed(&self, cell: u64) -> bool {
        self.values.is_empty() || self.used().any(|used| used == cell)
    }

    /// Whether the row has more cells than it may have. Those are not collected.
    fn is_full(&self) -> bool {
        self.len >= self.columns.unwrap_or(MAX_UNNAMED)
    }

    /// Writes key and value. All columns that are used were read.
    pub(super) fn write_to(&self, entry: &mut InputEntry) -> Result<(), LineError> {
        let cell = |index: u64| {
            let missing = LineError::NoSuchColumn { number: index + 1, count: self.len as u64 };
            match usize::try_from(index).map(|index| self.cells.get(index)) {
                Ok(Some(cell)) => Ok((index, cell.as_slice())),
                _ => Err(missing),
            }
        };
        let mut parts = KeyParts::new(&mut entry.key, &self.key_separator, self.keys.len());
        for &key in &self.keys {
            parts.add(cell(key)?.1)?;
        }
        let others = (0..self.len as u64).filter(|index| !self.keys.contains(index));
        let mut values = Vec::new();
        let count = self.len.max(self.values.len());
        values.try_reserve_exact(count).map_err(|_| LineError::NoMemory { len: count })?;
        match self.values.as_slice() {
            [] => others.map(cell).try_for_each(|cell| cell.map(|cell| values.push(cell)))?,
            named => {
                let mut named = named.iter().copied().map(cell);
                named.try_for_each(|cell| cell.map(|cell| values.push(cell)))?;
            }
        }
        let max = self.max_value;
        let mut put = |bytes: &[u8]| entry.value.append(bytes, max);
        match (self.format, values.as_slice()) {
            (ValueFormat::Csv, [(_, only)]) => put(only),
            (ValueFormat::Csv, cells) => {
                for (i, (_, cell)) in cells.iter().enumerate() {
                    if i > 0 {
                        put(&[self.delimiter])?;
                    }
                    append_cell(cell, self.delimiter, &mut put)?;
                }
                Ok(())
            }
            (ValueFormat::Json, cells) => self.write_object(cells, entry.value.held_mut()),
        }
    }

    fn write_object(&self, cells: &[(u64, &[u8])], value: &mut Bounded) -> Result<(), LineError> {
        let max = self.max_value;
        let of_value = |refused| LineError::of_value(refused, max);
        let mut object = JsonObject::new(value, max);
        for (index, cell) in cells {
            let text = str::from_utf8(cell)
                .map_err(|error| LineError::NotUtf8 { at: error.valid_up_to() + 1 })?;
            let name = usize::try_from(*index).ok().and_then(|index| self.names.get(index));
            // Without names, columns have numbers.
            let number = (index + 1).to_string();
            let out = object.name(name.unwrap_or(&number)).map_err(of_value)?;
            append_string(text, out, max).map_err(of_value)?;
        }
        object.end().map_err(of_value)
    }
}

impl RowSink for ChosenCells {
    fn bytes(&mut self, cell: u64, bytes: &[u8]) {
        if self.error.is_some() || self.is_full() || !self.is_needed(cell) {
            return;
        }
        if let Err(error) = self.add_cell() {
            self.error = Some(error);
            return;
        }
        let appended = match (self.room.checked_sub(bytes.len()), self.cells.get_mut(self.len)) {
            (Some(room), Some(cell)) => {
                self.room = room;
                cell.append(bytes, usize::MAX).map_err(|refused| LineError::of_value(refused, 0))
            }
            _ => Err(LineError::TooLong { what: "row", max: self.max_len() }),
        };
        self.error = appended.err();
    }

    fn end(&mut self, _: u64) {
        if self.is_full() {
            if self.columns.is_none() {
                let too_long = LineError::TooLong { what: "row of cells", max: MAX_UNNAMED };
                self.error.get_or_insert(too_long);
            }
            return;
        }
        if let Err(error) = self.add_cell() {
            self.error.get_or_insert(error);
            return;
        }
        self.len += 1;
    }
}
