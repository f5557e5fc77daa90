//! Reads the cells of one column of a row group, some rows at a time.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type as types;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

use super::cell_text::{Cell, Meaning};
use super::inflated_pages::{InflatedPages, PageCodec};
use super::json_leaf::JsonCell;
use super::page_headers::page_lens;
use super::page_memory::{PageFile, PageLimits, reserved};
use crate::input::LineError;
use crate::input::bounded::{AppendError, Bounded};

/// The cells of a column of any type.
pub(super) trait ColumnCells {
    /// Reads the cells of the next `rows` rows. All rows read before must have been passed by
    /// [`advance`](Self::advance).
    fn fill(&mut self, rows: usize) -> Result<(), ParquetError>;

    /// Checks that no further row follows.
    fn end(&mut self) -> Result<(), ParquetError>;

    /// Moves to the next row of those read.
    fn advance(&mut self) -> Result<(), ParquetError>;

    /// Appends the text of the current row's cell, if `out` then has at most `max` bytes. `false`
    /// if the cell is null.
    fn append_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault>;

    /// As [`append_to`](Self::append_to), in JSON.
    fn append_json_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault>;
}

/// A rule among the parts of this program that does not hold: a bug, not an error in the file.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("internal error, please report it: this does not hold: {0}")]
struct BrokenInvariant(&'static str);

/// The reason why a cell could not be appended.
#[derive(Debug)]
pub(super) enum CellFault {
    Append(AppendError),
    Line(LineError),
    /// The levels of a nested column contradict each other.
    Levels,
    /// A broken invariant of this program, not an error in the file.
    Internal(&'static str),
}

impl From<AppendError> for CellFault {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<LineError> for CellFault {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

/// Starts to read a column of a row group. A page longer than `max_page_len` bytes, uncompressed,
/// is an error.
pub(super) fn open(
    file: &Arc<File>,
    group: &RowGroupMetaData,
    index: usize,
    max_page_len: u64,
) -> Result<Box<dyn ColumnCells>, ParquetError> {
    let column = group.column(index).column_descr_ptr();
    let pages = pages(file, group, index, max_page_len)?;
    Ok(match column.physical_type() {
        Type::BOOLEAN => TypedCells::<types::BoolType>::boxed(column, pages),
        Type::INT32 => TypedCells::<types::Int32Type>::boxed(column, pages),
        Type::INT64 => TypedCells::<types::Int64Type>::boxed(column, pages),
        Type::INT96 => TypedCells::<types::Int96Type>::boxed(column, pages),
        Type::FLOAT => TypedCells::<types::FloatType>::boxed(column, pages),
        Type::DOUBLE => TypedCells::<types::DoubleType>::boxed(column, pages),
        Type::BYTE_ARRAY => TypedCells::<types::ByteArrayType>::boxed(column, pages),
        Type::FIXED_LEN_BYTE_ARRAY => {
            TypedCells::<types::FixedLenByteArrayType>::boxed(column, pages)
        }
    })
}

/// The decompressed pages of a column.
pub(super) struct Pages {
    pub(super) reader: Box<dyn PageReader>,
    /// Highest length of a value that the decoder puts together out of differences, in bytes: that
    /// of the longest page, since every byte of the value is in the page once.
    longest_difference: usize,
}

/// Starts to read the pages of a column.
pub(super) fn pages(
    file: &Arc<File>,
    group: &RowGroupMetaData,
    index: usize,
    max_page_len: u64,
) -> Result<Pages, ParquetError> {
    let chunk = group.column(index);
    let lens = page_lens(file, chunk, max_page_len)?;
    let has_differences = chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
    // A column without pages has no values.
    let longest = lens.iter().copied().max().filter(|_| has_differences).unwrap_or(0);
    let longest_difference = usize::try_from(longest)?;
    let rows = usize::try_from(group.num_rows())?;
    let reader = |chunk| {
        let file = Arc::new(PageFile::new(Arc::clone(file)));
        SerializedPageReader::new(file, chunk, rows, None)
    };
    let codec = PageCodec::of(chunk.compression());
    let reader: Box<dyn PageReader> = match chunk.compression() {
        compression if codec.is_some() || compression == Compression::UNCOMPRESSED => {
            let as_stored = chunk.clone().into_builder();
            let as_stored = as_stored.set_compression(Compression::UNCOMPRESSED).build()?;
            let limits = PageLimits::of(chunk.column_descr(), max_page_len);
            Box::new(InflatedPages::new(reader(&as_stored)?, codec, limits, lens))
        }
        // The error names the codec.
        _ => Box::new(reader(chunk)?),
    };
    Ok(Pages { reader, longest_difference })
}

/// The cells of a column of type `T`.
struct TypedCells<T: types::DataType> {
    reader: ColumnReaderImpl<T>,
    /// See [`Pages::longest_difference`].
    longest_difference: usize,
    meaning: Meaning,
    json: JsonCell,
    /// The definition level of a cell that is not null.
    level: i16,
    /// The values of the rows read, without nulls.
    values: Vec<T::T>,
    /// The definition level of each row read; empty if the column cannot have nulls.
    levels: Vec<i16>,
    /// Rows passed so far, including the current one.
    passed: usize,
    /// Values passed so far, including that of the current row.
    passed_values: usize,
    is_null: bool,
}

impl<T: types::DataType> TypedCells<T>
where
    T::T: Cell,
{
    fn boxed(column: ColumnDescPtr, pages: Pages) -> Box<dyn ColumnCells> {
        Box::new(Self {
            meaning: Meaning::of(&column),
            json: JsonCell::of(&column),
            level: column.max_def_level(),
            reader: ColumnReaderImpl::new(column, pages.reader),
            longest_difference: pages.longest_difference,
            values: Vec::new(),
            levels: Vec::new(),
            passed: 0,
            passed_values: 0,
            is_null: true,
        })
    }
}

impl<T: types::DataType> ColumnCells for TypedCells<T>
where
    T::T: Cell,
{
    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        (self.passed, self.passed_values) = (0, 0);
        self.values.clear();
        self.levels.clear();
        // The decoder cannot be refused memory for a value. Rows come one by one, and before the
        // value a page may be read, as it is stored and decompressed.
        reserved(self.longest_difference.saturating_mul(3))?;
        let levels = (self.level > 0).then_some(&mut self.levels);
        let (read, ..) = self.reader.read_records(rows, levels, None, &mut self.values)?;
        match read == rows {
            true => Ok(()),
            false => Err(ParquetError::EOF(format!("{read} rows where {rows} are left"))),
        }
    }

    fn end(&mut self) -> Result<(), ParquetError> {
        self.values.clear();
        self.levels.clear();
        let levels = (self.level > 0).then_some(&mut self.levels);
        match self.reader.read_records(1, levels, None, &mut self.values)? {
            (0, ..) => Ok(()),
            _ => Err(ParquetError::General("more rows than its row group states".to_owned())),
        }
    }

    fn advance(&mut self) -> Result<(), ParquetError> {
        // A column that cannot have nulls has no levels.
        self.is_null = self.level > 0
            && match self.levels.get(self.passed) {
                Some(level) => *level < self.level,
                None => {
                    let broken = BrokenInvariant("a row of a nullable column has a level");
                    return Err(ParquetError::External(Box::new(broken)));
                }
            };
        self.passed += 1;
        self.passed_values += usize::from(!self.is_null);
        Ok(())
    }

    fn append_json_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault> {
        if self.is_null {
            return Ok(false);
        }
        let value = self.passed_values.checked_sub(1).and_then(|index| self.values.get(index));
        match value {
            Some(value) => self.json.append(value, out, max).map(|()| true),
            None => Err(CellFault::Internal("a cell that is not null has a value")),
        }
    }

    fn append_to(&mut self, out: &mut Bounded, max: usize) -> Result<bool, CellFault> {
        if self.is_null {
            return Ok(false);
        }
        let value = self.passed_values.checked_sub(1).and_then(|index| self.values.get(index));
        match value {
            // The value's page is in memory already, so the text is bounded before its length is
            // checked.
            Some(value) => {
                let write = |out: &mut Vec<u8>| value.append_to(self.meaning, out);
                out.append_with(Cell::len(value), max, write).map(|()| true)
            }
            None => Err(CellFault::Internal("a cell that is not null has a value")),
        }
    }
}
