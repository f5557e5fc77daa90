//! Batches of records that an object of Arrow gives.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayReader, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use pyo3::prelude::*;

use crate::columns::Column;
use crate::errors::Error;
use crate::memory::{import_array, import_chunks};

/// Batches of one schema.
pub(crate) struct ArrowBatches {
    schema: SchemaRef,
    arrays: Box<dyn Iterator<Item = Result<ArrayRef, ArrowError>> + Send>,
}

impl ArrowBatches {
    /// The batches of an object: of its stream, or of its one array of structures. `None` if it has
    /// neither.
    pub(crate) fn of(data: &Bound<'_, PyAny>) -> Result<Option<Self>, Error> {
        if data.hasattr("__arrow_c_stream__")? {
            let chunks = import_chunks(data)?;
            let schema = schema_of(chunks.field().data_type())?;
            return Ok(Some(Self { schema, arrays: Box::new(chunks) }));
        }
        if data.hasattr("__arrow_c_array__")? {
            let array = import_array(data)?;
            let schema = schema_of(array.data_type())?;
            return Ok(Some(Self { schema, arrays: Box::new([Ok(array)].into_iter()) }));
        }
        Ok(None)
    }

    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns with these numbers of the next batch. `None` at the end.
    pub(crate) fn next_columns(
        &mut self,
        key: usize,
        value: usize,
    ) -> Result<Option<(Column, Column)>, Error> {
        let Some(array) = self.arrays.next().transpose()? else { return Ok(None) };
        let structures = array.as_struct_opt().ok_or(Error::Internal("batches are structures"))?;
        // The parts of a null may be anything.
        if structures.null_count() > 0 {
            return Err(Error::usage("the Arrow data has a null instead of a record"));
        }
        let batch = RecordBatch::from(structures);
        let column = |place: usize| match batch.columns().get(place) {
            Some(column) => {
                let fields = self.schema.fields();
                Column::new(column, fields.get(place).map_or("", |field| field.name()))
            }
            None => Err(Error::Internal("a batch has the columns of its schema")),
        };
        Ok(Some((column(key)?, column(value)?)))
    }
}

fn schema_of(data_type: &DataType) -> Result<SchemaRef, Error> {
    match data_type {
        DataType::Struct(fields) => Ok(Arc::new(Schema::new(fields.clone()))),
        other => Err(Error::usage(format!("the Arrow data is of {other}, and has no columns"))),
    }
}
