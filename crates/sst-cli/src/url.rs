//! Arguments that are a path or a URL.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use clap::builder::{PathBufValueParser, TypedValueParser};
use sst_format::file_name::{CURRENT_FILE_NAME, FileName};
use sst_object_store::{Place, StoreError, StoreFiles};
use sst_reader::{FileStore, RangedFile};

/// Schemes of the URLs of places.
const SCHEMES: [&str; 6] = ["s3", "gs", "az", "http", "https", "file"];

/// The files of all URLs, and the connections to their stores.
static FILES: LazyLock<Arc<StoreFiles>> = LazyLock::new(|| Arc::new(StoreFiles::of_urls()));

/// The store through which commands read URLs.
pub(crate) fn files() -> Arc<dyn FileStore> {
    Arc::<StoreFiles>::clone(&FILES)
}

/// Whether a path is the URL of an object or of a directory in a store.
pub(crate) fn is_url(path: &Path) -> bool {
    FILES.serves(path)
}

/// Whether a URL is that of a directory: its last part is not the name of one of its files.
pub(crate) fn is_directory(url: &Path) -> bool {
    let is_table = url.extension().is_some_and(|extension| extension == "sst");
    // A last part that is no text is not the name of a file of a directory.
    let name = url.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !is_table && name != CURRENT_FILE_NAME && FileName::parse(name).is_none()
}

/// Opens an object.
pub(crate) fn open(url: &Path) -> io::Result<Arc<dyn RangedFile>> {
    Ok(FILES.open(url)?)
}

/// Reads an object of at most `max_len` bytes.
pub(crate) fn read(url: &Path, max_len: u64) -> io::Result<Vec<u8>> {
    let object = open(url)?;
    let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
    if object.len() > max_len {
        return Err(too_long());
    }
    read_range(&*object, 0, object.len())
}

/// Reads a part of an object that lies within it.
pub(crate) fn read_range(object: &dyn RangedFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let end = end.min(object.len());
    let len = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    bytes.resize(len, 0);
    object.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// Parses an argument that is a path or a URL. `file://` becomes a path; other URLs are checked,
/// and stay as they are.
pub(crate) fn parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path: PathBuf| path_or_url(path, |_| Ok(())))
}

/// Parses an argument that is the path or the URL of an output. HTTP can only be read.
pub(crate) fn output_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path: PathBuf| match path.to_str() {
        Some(text) if text.starts_with("http://") || text.starts_with("https://") => {
            Err(format!("{text}: a place behind HTTP can only be read"))
        }
        _ => path_or_url(path, |_| Ok(())),
    })
}

/// Parses an argument that is a path on this machine. `file://` becomes a path; no directory is
/// ever given the name of a bucket's URL.
pub(crate) fn path_parser() -> impl TypedValueParser<Value = PathBuf> {
    const INSTEAD: &str =
        "this argument takes a path: `sst pull` copies from a store, `sst push` to one";
    PathBufValueParser::new()
        .try_map(|path: PathBuf| path_or_url(path, |text| Err(format!("{text}: {INSTEAD}"))))
}

/// The path of an argument, or its URL if that is of a bucket and `of_bucket` allows it.
fn path_or_url(
    path: PathBuf,
    of_bucket: impl FnOnce(&str) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let Some(text) = path.to_str() else { return Ok(path) };
    if Place::is_url(text) {
        return match Place::from_url(text).map_err(text_of)? {
            Place::Directory(directory) => Ok(directory),
            Place::Bucket(_) => {
                of_bucket(text)?;
                Ok(path)
            }
        };
    }
    match misspelt(text) {
        Some(scheme) => Err(format!(
            "{text}: a URL begins with {scheme}://, and the path of a directory of this name with ./"
        )),
        None => Ok(path),
    }
}

/// The scheme of a URL that lacks a slash, such as `s3:/bucket/db`: as a path it would be a
/// directory of this machine, where a copy is safe from nothing.
fn misspelt(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    (SCHEMES.contains(&scheme) && rest.starts_with('/')).then_some(scheme)
}

/// The text of an error for the parser, which prints no causes.
fn text_of(error: StoreError) -> String {
    match error {
        StoreError::BadUrl { url, source } => format!("{url}: {source}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn urls_of_files_and_directories_are_told_apart() {
        for file in ["s3://b/db/00000001.sst", "s3://b/a.sst", "http://h/db/CURRENT"] {
            assert!(is_url(file.as_ref()) && !is_directory(file.as_ref()), "{file}");
        }
        for directory in ["s3://b/db", "s3://b/db/", "s3://b", "https://h/x.meta/db"] {
            assert!(is_url(directory.as_ref()) && is_directory(directory.as_ref()), "{directory}");
        }
        for path in ["db", "/data/db", "file:///data/db"] {
            assert!(!is_url(path.as_ref()), "{path}");
        }
    }

    /// The commands that take no bucket where they write or read.
    #[test]
    fn no_bucket_is_taken_for_a_path() {
        let with = |url: &str| {
            [vec!["sst", "pull", "db", url], vec!["sst", "push", url, "db"]]
                .map(|arguments| Cli::try_parse_from(arguments).map(drop))
        };
        for url in ["s3://bucket/db", "gs://b/db", "https://host/db", "ftp://host/db"] {
            for parsed in with(url) {
                assert_eq!(parsed.unwrap_err().kind(), ErrorKind::ValueValidation, "{url}");
            }
        }
        for path in ["file:///data/db", "db", "./s3:/bucket/db", "S3:bucket"] {
            for parsed in with(path) {
                parsed.unwrap();
            }
        }
        for misspelt in ["s3:/bucket/db", "https:/host/db", "file:/data/db"] {
            for parsed in with(misspelt) {
                assert_eq!(parsed.unwrap_err().kind(), ErrorKind::ValueValidation, "{misspelt}");
            }
        }
    }

    /// Those that write take every store but HTTP.
    #[test]
    fn http_is_no_output() {
        let with = |url: &str| {
            [
                vec!["sst", "gather", "part", "--output", url],
                vec!["sst", "sample", "db", "--fraction", "1%", "--output", url],
                vec!["sst", "split", "db", "--count", "2", "--output", url],
                vec!["sst", "merge", "db", "--output", url],
                vec!["sst", "load", "in.tsv", url],
            ]
            .map(|arguments| Cli::try_parse_from(arguments).map(drop))
        };
        for url in ["http://host/db", "https://host/db", "ftp://host/db"] {
            for parsed in with(url).into_iter().take(4) {
                assert_eq!(parsed.unwrap_err().kind(), ErrorKind::ValueValidation, "{url}");
            }
        }
        for path in ["file:///data/db", "db", "./s3:/bucket/db"] {
            for parsed in with(path) {
                parsed.unwrap();
            }
        }
        #[cfg(feature = "aws")]
        for parsed in with("s3://bucket/db") {
            parsed.unwrap();
        }
    }
}
