//! Errors of Parquet files.

use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

/// The reason why a Parquet file cannot be read further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParquetFault {
    #[error("not a Parquet file: its first bytes are wrong")]
    NotParquet,
    #[error("the file is compressed as a whole: decompress it first")]
    Compressed,
    #[error("damaged or truncated: no valid metadata at its end")]
    Outline(#[source] ParquetError),
    #[error("column {column} has lists and groups within each other beyond all measure")]
    Depth {
        /// Name of a part of the column.
        column: String,
    },
    #[error("more than {max} groups within each other")]
    SchemaDepth { max: usize },
    #[error("damaged: the group {column} has no columns")]
    NoLeaves {
        /// Name of the group.
        column: String,
    },
    /// A broken invariant of this program, not an error in the file.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
    #[error("row group {row_group}, column {column}, row {row} or one of the next")]
    Damaged {
        /// Number of the row group, counted from 1.
        row_group: usize,
        /// Name of the column.
        column: String,
        /// The first row that cannot be read, counted from 1 in the file.
        row: u64,
        /// The error of the decoder.
        #[source]
        cause: ParquetError,
    },
}

impl ParquetFault {
    /// The error for a broken invariant. Debug builds panic at once.
    #[cold]
    pub(super) fn internal(invariant: &'static str) -> Self {
        debug_assert!(false, "this does not hold: {invariant}");
        Self::Internal(invariant)
    }

    /// The error for a column that cannot be read after the first `rows` rows of the file.
    pub(super) fn at(
        row_group: usize,
        column: &ColumnChunkMetaData,
        rows: u64,
        cause: ParquetError,
    ) -> Self {
        let column = column.column_path().string();
        Self::Damaged { row_group, column, row: rows + 1, cause }
    }
}
