//! Which format an input has, when nobody says so.

use std::path::Path;

use crate::commands::load::args::{Format, InputArgs};

/// The input gives no hint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot tell the format of the input by its name: add --format tsv, csv or jsonl")]
pub(crate) struct UnknownFormat;

/// The format by `--format`, else by extension, else by options that only one format has.
pub(crate) fn detect(input: &Path, options: &InputArgs) -> Result<Format, UnknownFormat> {
    // `entries.tsv.gz` is compressed TSV.
    let is_compressed = |extension: &str| matches!(extension, "gz" | "zst");
    let inner = input.file_stem().map(Path::new).filter(|_| extension_of(input, is_compressed));
    let input = inner.unwrap_or(input);
    let extension = input.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let by_extension = match extension.to_ascii_lowercase().as_str() {
        "tsv" | "tab" => Some(Format::Tsv),
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    };
    let by_options = options.says_csv().then_some(Format::Csv);
    options.format.or(by_extension).or(by_options).ok_or(UnknownFormat)
}

fn extension_of(path: &Path, is: impl Fn(&str) -> bool) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| is(&extension.to_ascii_lowercase()))
}
