//! Chooses the format of an input, and refuses options that do not fit the format.

use std::path::Path;

use super::compression::is_named_compressed;
use super::input_args::{Format, InputArgs};

/// The reason why this program cannot read an input, or not with these options.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// Neither an option nor the extension of the file name determines the format of the input.
    #[error(
        "{0}: the name does not tell the format: add --format tsv, csv, json, jsonl or parquet; \
         --delimiter and --key-column say CSV, --key-field says JSON lines"
    )]
    Unknown(String),
    /// The program was built without support for Parquet.
    #[error(
        "{0}: this sst was built without Parquet: \
         install one that has it with `cargo install --path crates/sst-cli`"
    )]
    NoParquet(String),
    /// An option would have no effect without another.
    #[error("{option} has no effect without {other}")]
    Alone {
        /// The option.
        option: &'static str,
        /// The options of which it needs one.
        other: &'static str,
    },
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
    use Format::{Csv, Json, Jsonl, Parquet, Tsv};
    let given: [(&'static str, bool, &[Format]); 17] = [
        ("--no-escapes", options.no_escapes, &[Tsv]),
        ("--delimiter", options.delimiter.is_some(), &[Csv, Parquet]),
        ("--no-header", options.no_header, &[Csv]),
        ("--key-column", options.key_column.is_some(), &[Csv, Parquet]),
        ("--key-columns", !options.key_columns.is_empty(), &[Csv, Parquet]),
        ("--value-column", options.value_column.is_some(), &[Csv, Parquet]),
        ("--value-columns", !options.value_columns.is_empty(), &[Csv, Parquet]),
        ("--value-format", options.value_format.is_some(), &[Csv, Parquet]),
        ("--key-separator", options.key_separator.is_some(), &[Csv, Parquet, Json, Jsonl]),
        ("--delete-marker", options.delete_marker.is_some(), &[Csv, Parquet]),
        ("--key-field", options.key_field.is_some(), &[Json, Jsonl]),
        ("--key-fields", !options.key_fields.is_empty(), &[Json, Jsonl]),
        ("--value-field", options.value_field.is_some(), &[Json, Jsonl]),
        ("--value-fields", !options.value_fields.is_empty(), &[Json, Jsonl]),
        ("--without-key", options.without_key, &[Json, Jsonl]),
        ("--nulls", options.nulls.is_some(), &[Json, Jsonl, Parquet]),
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
        _ => check_companions(options),
    }
}

/// Refuses options that have an effect on other options only, where those are missing.
fn check_companions(options: &InputArgs) -> Result<(), FormatError> {
    let has_several_keys = options.key_columns.len() > 1 || options.key_fields.len() > 1;
    let takes_records = options.value_field() == "." && options.value_fields.is_empty();
    let given = [
        (
            "--key-separator",
            options.key_separator.is_some() && !has_several_keys,
            "several --key-columns or --key-fields",
        ),
        ("--without-key", options.without_key && !takes_records, "--value-field ."),
    ];
    match given.into_iter().find(|(_, is_alone, _)| *is_alone) {
        Some((option, _, other)) => Err(FormatError::Alone { option, other }),
        None => Ok(()),
    }
}

/// The advice for an option that has no effect in this format.
fn instead_of(option: &str, format: Format) -> &'static str {
    match (option, format) {
        (
            "--key-column" | "--key-columns" | "--value-column" | "--value-columns",
            Format::Jsonl | Format::Json,
        ) => "use --key-field and --value-field, which name fields",
        ("--key-column" | "--key-columns" | "--value-column" | "--value-columns", _) => {
            r"its key ends at the first tab; add --format csv --delimiter '\t' to have columns"
        }
        (
            "--key-field" | "--key-fields" | "--value-field" | "--value-fields",
            Format::Csv | Format::Parquet,
        ) => "use --key-column and --value-column, which name columns",
        ("--key-field" | "--key-fields" | "--value-field" | "--value-fields", _) => {
            "fields are those of --format jsonl, columns those of --format csv"
        }
        ("--value-format", Format::Jsonl | Format::Json) => {
            "values are JSON; --value-fields makes an object of several fields"
        }
        ("--without-key", _) => "it is for whole records of JSON",
        ("--value-format" | "--key-separator", _) => "key and value are one column each",
        ("--nulls", Format::Tsv) => r"a value of \N deletes its key",
        ("--nulls", _) => "it has no nulls; --delete-marker tells which values delete",
        ("--delete-marker", Format::Jsonl | Format::Json) => "a value of null deletes its key",
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
    let unknown = || FormatError::Unknown(name_of(input));
    match by_hints(input, options).ok_or_else(unknown)? {
        Format::Parquet if cfg!(not(feature = "parquet")) => {
            Err(FormatError::NoParquet(input.display().to_string()))
        }
        format => Ok(format),
    }
}

fn by_extension(input: &Path) -> Option<Format> {
    // `entries.tsv.gz` is compressed TSV.
    let inner = input.file_stem().map(Path::new).filter(|_| is_named_compressed(input));
    let extension = inner.unwrap_or(input).extension()?.to_str()?;
    match extension.to_ascii_lowercase().as_str() {
        "tsv" | "tab" => Some(Format::Tsv),
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "json" => Some(Format::Json),
        "parquet" | "pq" => Some(Format::Parquet),
        _ => None,
    }
}

fn by_hints(input: &Path, options: &InputArgs) -> Option<Format> {
    let by_options = match (options.says_csv(), options.says_json()) {
        (true, _) => Some(Format::Csv),
        (false, true) => Some(Format::Jsonl),
        (false, false) => None,
    };
    options.format.or_else(|| by_extension(input)).or(by_options)
}

/// Whether the name of a file promises an input, by its extension.
pub(crate) fn is_named_like_input(path: &Path) -> bool {
    is_named_compressed(path) || by_extension(path).is_some()
}

/// The name of an input in messages.
pub(crate) fn name_of(input: &Path) -> String {
    match input.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => input.display().to_string(),
    }
}
