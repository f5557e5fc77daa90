//! The output of `sst scan`: entries as lines of text or of JSON.

use super::{OutputFormat, ScanArgs};
use crate::end_mark::EndMark;
use crate::error::CliError;
use crate::notation::Notation;
use crate::output::{End, EntryLine, Output, PrintedValue};

/// An entry to be printed.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) hash: u64,
    pub(super) key: &'a [u8],
    pub(super) value: PrintedValue<'a>,
}

/// Prints entries in one format.
pub(super) trait Sink {
    fn row(&mut self, row: Row<'_>) -> Result<(), CliError>;

    /// Ends the output. Without it, the output is incomplete.
    fn finish(self: Box<Self>) -> Result<(), CliError>;
}

/// Starts the output in a format. An option that the format does not have is an error.
pub(super) fn open(args: &ScanArgs, format: OutputFormat) -> Result<Box<dyn Sink>, CliError> {
    let has_lines = matches!(format, OutputFormat::Tsv | OutputFormat::Jsonl);
    let given = [
        ("--end-mark", args.end_mark, has_lines),
        ("--print0", args.print0, format == OutputFormat::Tsv),
        (
            "--hex, --base64 and --escaped",
            args.notation.given().is_some(),
            format != OutputFormat::Parquet,
        ),
    ];
    if let Some((option, ..)) = given.iter().find(|(_, is_given, fits)| *is_given && !fits) {
        let name = format.name();
        return Err(CliError::Usage(format!("{option} cannot be had with --format {name}")));
    }
    match format {
        OutputFormat::Tsv | OutputFormat::Jsonl => Ok(Box::new(Lines::new(args, format))),
        OutputFormat::Csv => Ok(Box::new(super::csv_sink::CsvSink::new(args)?)),
        #[cfg(feature = "parquet")]
        OutputFormat::Parquet => Ok(Box::new(super::parquet_sink::ParquetSink::new(args)?)),
        #[cfg(not(feature = "parquet"))]
        OutputFormat::Parquet => {
            let output = "standard output".to_owned();
            Err(crate::input::FormatError::NoParquet(output).into())
        }
    }
}

/// Lines of TSV, entries that end in zero bytes, or lines of JSON.
struct Lines {
    output: Output,
    is_json: bool,
    notation: Notation,
    end: End,
    /// The end mark of the entries printed so far; `None` without `--end-mark`.
    mark: Option<EndMark>,
}

impl Lines {
    fn new(args: &ScanArgs, format: OutputFormat) -> Self {
        let raw = if args.print0 { Notation::Raw } else { Notation::Escaped };
        Self {
            output: Output::stdout(),
            is_json: format == OutputFormat::Jsonl,
            notation: args.notation.given().unwrap_or(raw),
            end: if args.print0 { End::Zero } else { End::Line },
            mark: args.end_mark.then(EndMark::default),
        }
    }

    /// Checks that the entry can be told from its end, and its key from its value, although neither
    /// is escaped.
    fn check_raw(row: Row<'_>) -> Result<(), CliError> {
        let value = match row.value {
            PrintedValue::Value(value) => value,
            PrintedValue::Omitted => b"",
            PrintedValue::Deleted | PrintedValue::Blob(_) => {
                return Err(CliError::NotRaw { key: row.key.into(), what: "no value" });
            }
        };
        let has_tab = row.value != PrintedValue::Omitted && row.key.contains(&b'\t');
        let what = match () {
            () if row.key.contains(&0) => "a zero byte in its key",
            () if value.contains(&0) => "a zero byte in its value",
            () if has_tab => "a tab in its key",
            () => return Ok(()),
        };
        Err(CliError::NotRaw { key: row.key.into(), what })
    }
}

impl Sink for Lines {
    fn row(&mut self, row: Row<'_>) -> Result<(), CliError> {
        let Row { hash, key, value } = row;
        if let Some(mark) = &mut self.mark {
            // For a blob only its number is printed. `load` refuses that, so it is added without a
            // value.
            mark.add(key, if let PrintedValue::Value(value) = value { Some(value) } else { None });
        }
        if self.notation == Notation::Raw {
            Self::check_raw(row)?;
        }
        let line = EntryLine { hash: Some(hash), key, value, notation: self.notation };
        if self.is_json { self.output.json(&line) } else { self.output.entry(&line, self.end) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), CliError> {
        match self.mark {
            Some(mark) if self.is_json => self.output.json(&mark.json())?,
            Some(mark) => self.output.line(mark)?,
            None => {}
        }
        self.output.finish()
    }
}
