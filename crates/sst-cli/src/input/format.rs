//! Which format an input has, when nobody says so.

use std::path::Path;

use crate::commands::load::args::{Format, InputArgs};

/// An input that this program cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnreadableFormat {
    /// The input gives no hint.
    #[error(
        "cannot tell the format of the input by its name: add --format tsv, csv, jsonl or parquet"
    )]
    Unknown,
    /// The program was built without.
    #[error(
        "{0}: this sst was built without Parquet: \
         build it with `cargo install --path crates/sst-cli --features parquet`"
    )]
    NoParquet(String),
}

/// The format by `--format`, else by extension, else by options that only one format has.
pub(crate) fn detect(input: &Path, options: &InputArgs) -> Result<Format, UnreadableFormat> {
    match by_hints(input, options).ok_or(UnreadableFormat::Unknown)? {
        Format::Parquet if cfg!(not(feature = "parquet")) => {
            Err(UnreadableFormat::NoParquet(input.display().to_string()))
        }
        format => Ok(format),
    }
}

fn by_hints(input: &Path, options: &InputArgs) -> Option<Format> {
    // `entries.tsv.gz` is compressed TSV.
    let is_compressed = |extension: &str| matches!(extension, "gz" | "zst");
    let inner = input.file_stem().map(Path::new).filter(|_| extension_of(input, is_compressed));
    let input = inner.unwrap_or(input);
    let extension = input.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let by_extension = match extension.to_ascii_lowercase().as_str() {
        "tsv" | "tab" => Some(Format::Tsv),
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "parquet" | "pq" => Some(Format::Parquet),
        _ => None,
    };
    let by_options = options.says_csv().then_some(Format::Csv);
    options.format.or(by_extension).or(by_options)
}

fn extension_of(path: &Path, is: impl Fn(&str) -> bool) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| is(&extension.to_ascii_lowercase()))
}
