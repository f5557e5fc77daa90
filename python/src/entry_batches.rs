//! Entries as batches of Arrow: for scans in Python, and for tasks of Spark.

use std::mem;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use sst_reader::ReadError;

use crate::arrow_array::Cells;
use crate::errors::{Error, text_of};
use crate::walk::Walk;

/// Bytes of keys and values after which a batch ends, so that its offsets fit into 32 bits.
const BATCH_BYTES: usize = 64 << 20;

/// A part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// The columns of batches, in their order.
#[derive(Clone, Debug)]
pub(crate) struct EntryColumns {
    /// The part that each column shows, and whether it is text.
    parts: Vec<(Part, bool)>,
    schema: SchemaRef,
}

impl EntryColumns {
    /// `key` and `value`, which have no nulls.
    pub(crate) fn key_and_value(is_text: bool) -> Self {
        let data_type = if is_text { DataType::Utf8 } else { DataType::Binary };
        let field = |name: &str| Field::new(name, data_type.clone(), false);
        let schema = Arc::new(Schema::new(vec![field("key"), field("value")]));
        Self { parts: vec![(Part::Key, is_text), (Part::Value, is_text)], schema }
    }

    /// `columns` are pairs of a name, `key` or `value`, and a type, `binary` or `string`. The
    /// fields say that there may be nulls, as all columns of Spark do.
    pub(crate) fn named(columns: &[(String, String)]) -> Result<Self, Error> {
        let mut parts: Vec<(Part, bool)> = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        for (name, kind) in columns {
            let part = match name.as_str() {
                "key" => Part::Key,
                "value" => Part::Value,
                _ => {
                    let text = format!("there is no column {name:?}: a set has key and value");
                    return Err(Error::usage(text));
                }
            };
            if parts.iter().any(|(known, _)| *known == part) {
                return Err(Error::usage(format!("the column {name:?} is asked for twice")));
            }
            let (is_text, data_type) = match kind.as_str() {
                "binary" => (false, DataType::Binary),
                "string" => (true, DataType::Utf8),
                _ => {
                    let text = format!("column {name:?} is binary or string, not {kind}");
                    return Err(Error::usage(text));
                }
            };
            fields.push(Field::new(name, data_type, true));
            parts.push((part, is_text));
        }
        Ok(Self { parts, schema: Arc::new(Schema::new(fields)) })
    }

    /// The schema of the batches.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// No entries yet, for a batch with these columns.
    pub(crate) fn rows(&self) -> EntryRows {
        let wants_values = self.parts.iter().any(|(part, _)| *part == Part::Value);
        EntryRows { keys: Cells::default(), values: Cells::default(), count: 0, wants_values }
    }

    /// The batch of some entries.
    pub(crate) fn batch(&self, rows: EntryRows) -> Result<RecordBatch, Error> {
        let EntryRows { mut keys, mut values, count, .. } = rows;
        let column = |(part, is_text): &(Part, bool)| -> Result<ArrayRef, Error> {
            let cells = match part {
                Part::Key => &mut keys,
                Part::Value => &mut values,
            };
            mem::take(cells).into_array(*is_text, Some(false))
        };
        let columns = self.parts.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}

/// The entries of a batch that is being made.
pub(crate) struct EntryRows {
    keys: Cells,
    values: Cells,
    count: usize,
    wants_values: bool,
}

impl EntryRows {
    /// Adds the next entry of a walk, if it has this key or any will do. Returns false at the end
    /// of the walk. The block of a value is read only if values are wanted.
    pub(crate) fn take_next(
        &mut self,
        walk: &mut Walk,
        wanted: Option<&[u8]>,
    ) -> Result<bool, ReadError> {
        let Self { keys, values, count, wants_values } = self;
        let is_wanted = |key: &[u8]| wanted.is_none_or(|wanted| wanted == key);
        let taken = if *wants_values {
            walk.next(|key, value| {
                if is_wanted(key) {
                    keys.push(Some(key));
                    values.push(Some(value));
                    *count += 1;
                }
            })
        } else {
            walk.next_key(|key| {
                if is_wanted(key) {
                    keys.push(Some(key));
                    *count += 1;
                }
            })
        };
        Ok(taken?.is_some())
    }

    fn byte_len(&self) -> usize {
        self.keys.byte_len() + self.values.byte_len()
    }
}

/// The batches of a walk.
pub(crate) struct EntryBatches {
    /// `None` once the walk is over, or has failed.
    walk: Option<Walk>,
    columns: EntryColumns,
    batch_rows: usize,
}

impl EntryBatches {
    /// Batches of up to `batch_rows` entries, but at least one, and of fewer if they are long.
    pub(crate) fn new(walk: Walk, columns: EntryColumns, batch_rows: usize) -> Self {
        Self { walk: Some(walk), columns, batch_rows: batch_rows.max(1) }
    }

    /// The next batch; `None` at the end, and after an error.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        let Some(walk) = &mut self.walk else { return Ok(None) };
        let mut rows = self.columns.rows();
        let mut taken = Ok(true);
        while matches!(taken, Ok(true))
            && rows.count < self.batch_rows
            && rows.byte_len() < BATCH_BYTES
        {
            taken = rows.take_next(walk, None);
        }
        if !matches!(taken, Ok(true)) {
            self.walk = None;
        }
        taken?;
        (rows.count > 0).then(|| self.columns.batch(rows)).transpose()
    }
}

impl Iterator for EntryBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch().transpose()?;
        // A consumer in another library shows this text alone, without the causes of an error.
        Some(batch.map_err(|error| ArrowError::ExternalError(text_of(&error).into())))
    }
}

impl RecordBatchReader for EntryBatches {
    fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }
}
