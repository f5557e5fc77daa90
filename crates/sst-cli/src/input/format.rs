//! Chooses the format of an input, and refuses options that do not fit the format.

use std::path::Path;

use super::compression::is_named_compressed;
use super::input_args::{Format, InputArgs};

/// The reason why this program cannot read an input, or not with these options.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// Neither an option nor the extension of the file name determines the format of the input.
    #[error(
        "cannot tell the format of the input by its name: add --format tsv, csv, jsonl or parquet"
    )]
    Unknown,
    /// The program was built without support for Parquet.
    #[error(
        "{0}: this sst was built without Parquet: \
         build it with `cargo install --path crates/sst-cli --features parquet`"
    )]
    NoParquet(String),
    /// An option would have no effect.
    #[error("{option} has no effect on input in the format {format}: {instead}")]
    Option {
        /// The option.
        option: &'static str,
        /// The format of the input.
        format: &'static str,
        /// The advice, what to write instead.
        instead: &'static str,
    },
}

/// Refuses options that would have no effect on any input.
pub(crate) fn check_options(formats: &[Format], options: &InputArgs) -> Result<(), FormatError> {
    use Format::{Csv, Jsonl, Parquet, Tsv};
    let given: [(&'static str, bool, &[Format]); 9] = [
        ("--no-escapes", options.no_escapes, &[Tsv]),
        ("--delimiter", options.delimiter.is_some(), &[Csv, Parquet]),
        ("--no-header", options.no_header, &[Csv]),
        ("--key-column", options.key_column.is_some(), &[Csv, Parquet]),
        ("--value-column", options.value_column.is_some(), &[Csv, Parquet]),
        ("--delete-marker", options.delete_marker.is_some(), &[Csv, Parquet]),
        ("--key-field", options.key_field.is_some(), &[Jsonl]),
        ("--value-field", options.value_field.is_some(), &[Jsonl]),
        ("--expect-end-mark", options.expect_end_mark, &[Tsv, Jsonl]),
    ];
    // With one input, every option must have an effect on it; with several, on at least one.
    let unused = given
        .into_iter()
        .find(|(_, is_given, uses)| *is_given && !formats.iter().any(|f| uses.contains(f)));
    match (unused, formats.first()) {
        (Some((option, ..)), Some(&format)) => {
            let (format, instead) = (format.name(), instead_of(option, format));
            Err(FormatError::Option { option, format, instead })
        }
        _ => Ok(()),
    }
}

/// The advice for an option that has no effect in this format.
fn instead_of(option: &str, format: Format) -> &'static str {
    match (option, format) {
        ("--key-column" | "--value-column", Format::Jsonl) => {
            "use --key-field and --value-field, which name fields"
        }
        ("--key-column" | "--value-column", _) => {
            r"its key ends at the first tab; add --format csv --delimiter '\t' to have columns"
        }
        ("--key-field" | "--value-field", Format::Csv | Format::Parquet) => {
            "use --key-column and --value-column, which name columns"
        }
        ("--key-field" | "--value-field", _) => {
            "fields are those of --format jsonl, columns those of --format csv"
        }
        ("--delete-marker", Format::Jsonl) => "a value of null deletes its key",
        ("--delete-marker", _) => r"a value of \N deletes its key",
        ("--delimiter", Format::Tsv) => "add --format csv to have columns",
        ("--delimiter", _) => "it has no delimiters",
        ("--no-header", Format::Parquet) => "its columns always have names",
        ("--no-header", _) => "its first line is always an entry",
        ("--no-escapes", Format::Csv) => "it has quotes and no escapes, and backslashes are text",
        ("--no-escapes", _) => "it is for TSV",
        // `--expect-end-mark`: all other options are matched above.
        _ => "only `sst scan --end-mark` ends in a mark, with or without --json",
    }
}

/// Chooses the format: by `--format`, else by the extension, else by an option that only one format
/// has.
pub(crate) fn detect(input: &Path, options: &InputArgs) -> Result<Format, FormatError> {
    match by_hints(input, options).ok_or(FormatError::Unknown)? {
        Format::Parquet if cfg!(not(feature = "parquet")) => {
            Err(FormatError::NoParquet(input.display().to_string()))
        }
        format => Ok(format),
    }
}

fn by_hints(input: &Path, options: &InputArgs) -> Option<Format> {
    // `entries.tsv.gz` is compressed TSV.
    let inner = input.file_stem().map(Path::new).filter(|_| is_named_compressed(input));
    let input = inner.unwrap_or(input);
    let extension = input.extension().and_then(|extension| extension.to_str());
    let by_extension = extension.and_then(|extension| {
        Some(match extension.to_ascii_lowercase().as_str() {
            "tsv" | "tab" => Format::Tsv,
            "csv" => Format::Csv,
            "jsonl" | "ndjson" => Format::Jsonl,
            "parquet" | "pq" => Format::Parquet,
            _ => return None,
        })
    });
    let by_options = options.says_csv().then_some(Format::Csv);
    options.format.or(by_extension).or(by_options)
}
