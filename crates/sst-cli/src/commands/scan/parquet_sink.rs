//! The output of `sst scan --format parquet`.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::ScanArgs;
use super::sink::{Row, Sink};
use crate::error::CliError;
use crate::output::PrintedValue;

/// Highest number of rows of a row group: that of `DuckDB`.
const MAX_GROUP_ROWS: usize = 122_880;
/// Bytes of keys and values after which a row group ends. A row group is in memory whole.
const MAX_GROUP_BYTES: usize = 64 << 20;

/// A file with the columns `key` and `value`. Both hold bytes; a deleted key has no value.
pub(super) struct ParquetSink {
    writer: SerializedFileWriter<BufWriter<Stdout>>,
    keys_only: bool,
    keys: Vec<ByteArray>,
    /// The values of the rows that have one.
    values: Vec<ByteArray>,
    /// For each row 1 if it has a value, otherwise 0.
    levels: Vec<i16>,
    /// Bytes of keys and values in the row group so far.
    bytes: usize,
}

impl ParquetSink {
    pub(super) fn new(args: &ScanArgs) -> Result<Self, CliError> {
        if io::stdout().is_terminal() {
            let text = "Parquet is not for terminals: redirect it, as in `> entries.parquet`";
            return Err(CliError::Usage(text.to_owned()));
        }
        let schema = match args.keys_only {
            true => "message sst { required binary key; }",
            false => "message sst { required binary key; optional binary value; }",
        };
        let schema = Arc::new(parse_message_type(schema).map_err(failed)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let output = BufWriter::with_capacity(1 << 18, io::stdout());
        let writer = SerializedFileWriter::new(output, schema, Arc::new(properties.build()));
        Ok(Self {
            writer: writer.map_err(failed)?,
            keys_only: args.keys_only,
            keys: Vec::new(),
            values: Vec::new(),
            levels: Vec::new(),
            bytes: 0,
        })
    }

    fn end_group(&mut self) -> Result<(), CliError> {
        let mut group = self.writer.next_row_group().map_err(failed)?;
        write_column(&mut group, &self.keys, None)?;
        if !self.keys_only {
            write_column(&mut group, &self.values, Some(&self.levels))?;
        }
        group.close().map_err(failed)?;
        self.keys.clear();
        self.values.clear();
        self.levels.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cells: &[ByteArray],
    levels: Option<&[i16]>,
) -> Result<(), CliError> {
    if let Some(mut column) = group.next_column().map_err(failed)? {
        column.typed::<ByteArrayType>().write_batch(cells, levels, None).map_err(failed)?;
        column.close().map_err(failed)?;
    }
    Ok(())
}

fn failed(error: ParquetError) -> CliError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => CliError::Output(*error),
            Err(source) => CliError::Output(io::Error::other(source)),
        },
        error => CliError::Output(io::Error::other(error)),
    }
}

impl Sink for ParquetSink {
    fn row(&mut self, row: Row<'_>) -> Result<(), CliError> {
        self.bytes += row.key.len();
        self.keys.push(ByteArray::from(row.key.to_vec()));
        match row.value {
            PrintedValue::Value(value) => {
                self.bytes += value.len();
                self.values.push(ByteArray::from(value.to_vec()));
                self.levels.push(1);
            }
            PrintedValue::Deleted => self.levels.push(0),
            PrintedValue::Omitted => {}
            PrintedValue::Blob(_) => {
                return Err(CliError::NotRaw { key: row.key.into(), what: "no value" });
            }
        }
        match self.keys.len() >= MAX_GROUP_ROWS || self.bytes >= MAX_GROUP_BYTES {
            true => self.end_group(),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), CliError> {
        if !self.keys.is_empty() {
            self.end_group()?;
        }
        let mut output = self.writer.into_inner().map_err(failed)?;
        output.flush().map_err(CliError::Output)
    }
}
