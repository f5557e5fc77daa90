//! The cells of one leaf of a nested column, record by record, as JSON.
//!
//! A leaf stores for each cell, or each place where a list ends or a value is missing, two levels
//! (the paper on Dremel explains them): the definition level says how far down the path there are
//! values, the repetition level says which list goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::Type;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type as types;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::cell_text::{Cell, Meaning};
use super::column::CellFault;
use crate::input::bounded::{AppendError, Bounded};
use crate::input::json_object::append_string;
use data_encoding::BASE64;

/// Highest number of cells of one leaf that one record may take out of new pages. The decoder takes
/// memory for each, however few bytes they have in the file.
const MAX_CELLS: u64 = 1 << 22;

/// The levels of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) definition: i16,
    pub(super) repetition: i16,
}

/// A leaf of any type.
pub(super) trait Leaf {
    /// Reads the next record. There must be one.
    fn read(&mut self) -> Result<(), ParquetError>;

    /// Checks that no further record follows.
    fn end(&mut self) -> Result<(), ParquetError>;

    /// Goes back to the first cell of the record.
    fn rewind(&mut self);

    /// The levels of the next cell of the record; `None` behind the last one.
    fn peek(&self) -> Option<Levels>;

    /// Passes a cell that has no value.
    fn skip(&mut self);

    /// Passes a cell that has a value, and appends it.
    fn append_to(&mut self, out: &mut Bounded, max: usize) -> Result<(), CellFault>;
}

/// Starts to read a leaf.
pub(super) fn open(column: ColumnDescPtr, pages: Box<dyn PageReader>) -> Box<dyn Leaf> {
    match column.physical_type() {
        Type::BOOLEAN => TypedLeaf::<types::BoolType>::boxed(column, pages),
        Type::INT32 => TypedLeaf::<types::Int32Type>::boxed(column, pages),
        Type::INT64 => TypedLeaf::<types::Int64Type>::boxed(column, pages),
        Type::INT96 => TypedLeaf::<types::Int96Type>::boxed(column, pages),
        Type::FLOAT => TypedLeaf::<types::FloatType>::boxed(column, pages),
        Type::DOUBLE => TypedLeaf::<types::DoubleType>::boxed(column, pages),
        Type::BYTE_ARRAY => TypedLeaf::<types::ByteArrayType>::boxed(column, pages),
        Type::FIXED_LEN_BYTE_ARRAY => {
            TypedLeaf::<types::FixedLenByteArrayType>::boxed(column, pages)
        }
    }
}

/// A leaf of type `T`.
struct TypedLeaf<T: types::DataType> {
    reader: ColumnReaderImpl<T>,
    notation: JsonCell,
    /// The definition level of a cell that has a value.
    level: i16,
    /// The values of the record.
    values: Vec<T::T>,
    /// The levels of the record's cells; empty if they are always 0.
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    /// Cells of the record.
    cells: usize,
    /// Cells and values passed.
    passed: usize,
    passed_values: usize,
    budget: Arc<AtomicU64>,
}

impl<T: types::DataType> TypedLeaf<T>
where
    T::T: Cell,
{
    fn boxed(column: ColumnDescPtr, pages: Box<dyn PageReader>) -> Box<dyn Leaf> {
        let budget = Arc::new(AtomicU64::new(0));
        let pages = CountedPages { pages, budget: Arc::clone(&budget) };
        Box::new(Self {
            notation: JsonCell::of(&column),
            level: column.max_def_level(),
            reader: ColumnReaderImpl::new(column, Box::new(pages)),
            values: Vec::new(),
            definitions: Vec::new(),
            repetitions: Vec::new(),
            cells: 0,
            passed: 0,
            passed_values: 0,
            budget,
        })
    }

    /// Reads a record, if there is one.
    fn read_any(&mut self) -> Result<bool, ParquetError> {
        self.values.clear();
        self.definitions.clear();
        self.repetitions.clear();
        self.budget.store(MAX_CELLS, Ordering::Relaxed);
        let (records, _, cells) = self.reader.read_records(
            1,
            Some(&mut self.definitions),
            Some(&mut self.repetitions),
            &mut self.values,
        )?;
        self.cells = cells;
        self.rewind();
        Ok(records == 1)
    }
}

impl<T: types::DataType> Leaf for TypedLeaf<T>
where
    T::T: Cell,
{
    fn read(&mut self) -> Result<(), ParquetError> {
        match self.read_any()? {
            true => Ok(()),
            false => Err(ParquetError::EOF("fewer rows than the row group states".to_owned())),
        }
    }

    fn end(&mut self) -> Result<(), ParquetError> {
        match self.read_any()? {
            false => Ok(()),
            true => Err(ParquetError::General("more rows than its row group states".to_owned())),
        }
    }

    fn rewind(&mut self) {
        (self.passed, self.passed_values) = (0, 0);
    }

    fn peek(&self) -> Option<Levels> {
        // A leaf whose level is always 0 stores no levels.
        let at = |levels: &[i16], of_all| levels.get(self.passed).copied().unwrap_or(of_all);
        (self.passed < self.cells).then(|| Levels {
            definition: at(&self.definitions, self.level),
            repetition: at(&self.repetitions, 0),
        })
    }

    fn skip(&mut self) {
        self.passed += 1;
    }

    fn append_to(&mut self, out: &mut Bounded, max: usize) -> Result<(), CellFault> {
        let Some(value) = self.values.get(self.passed_values) else {
            return Err(CellFault::Internal("a cell of this level has a value"));
        };
        self.notation.append(value, out, max)?;
        self.passed += 1;
        self.passed_values += 1;
        Ok(())
    }
}

/// Number of bytes that are written in base64 at a time: a multiple of 3.
const BASE64_PIECE_LEN: usize = 3 << 10;

/// How a cell is written in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonCell {
    meaning: Meaning,
    /// Whether the text is a number or a boolean, without quotes.
    is_bare: bool,
}

impl JsonCell {
    pub(super) fn of(column: &parquet::schema::types::ColumnDescriptor) -> Self {
        let meaning = Meaning::of(column);
        let is_number = matches!(
            meaning,
            Meaning::Plain | Meaning::Unsigned | Meaning::Decimal { .. } | Meaning::Float16
        );
        let is_bare = match column.physical_type() {
            Type::BOOLEAN => true,
            Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE => is_number,
            Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => {
                matches!(meaning, Meaning::Decimal { .. } | Meaning::Float16)
            }
            Type::INT96 => false,
        };
        Self { meaning, is_bare }
    }

    /// Appends a cell: numbers and booleans as they are, text in quotes, bytes that are not UTF-8
    /// in base64. Numbers that JSON does not have (NaN, infinities) are null.
    pub(super) fn append(
        self,
        cell: &impl Cell,
        out: &mut Bounded,
        max: usize,
    ) -> Result<(), CellFault> {
        let mut text = Vec::new();
        text.try_reserve_exact(cell.len()).map_err(|_| AppendError::NoMemory(cell.len()))?;
        cell.append_to(self.meaning, &mut text)?;
        match str::from_utf8(&text) {
            Ok(text) if self.is_bare => {
                let is_json = !text.ends_with(['f', 'N']);
                out.append(if is_json { text.as_bytes() } else { b"null" }, max)?;
            }
            Ok(text) => append_string(text, out, max)?,
            Err(_) => {
                out.append(b"\"", max)?;
                // In pieces, whose base64 is that of the whole.
                for piece in text.chunks(BASE64_PIECE_LEN) {
                    out.append(BASE64.encode(piece).as_bytes(), max)?;
                }
                out.append(b"\"", max)?;
            }
        }
        Ok(())
    }
}

/// Pages that may have only so many cells until the budget is set again.
struct CountedPages {
    pages: Box<dyn PageReader>,
    budget: Arc<AtomicU64>,
}

impl Iterator for CountedPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CountedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.pages.get_next_page()?;
        if let Some(page @ (Page::DataPage { .. } | Page::DataPageV2 { .. })) = &page {
            let left = self.budget.load(Ordering::Relaxed);
            match left.checked_sub(u64::from(page.num_values())) {
                Some(left) => self.budget.store(left, Ordering::Relaxed),
                None => {
                    return Err(ParquetError::General(format!(
                        "a list or a page of lists has more than {MAX_CELLS} elements"
                    )));
                }
            }
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }
}
