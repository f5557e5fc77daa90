//! The page of `sst inspect --html`: one file with all that it needs, drawn by its own script.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::report::Report;
use super::strip::Strip;
use crate::commands::log;
use crate::error::CliError;

/// The page without its data.
const PAGE: &str = include_str!("page.html");
/// Where the data goes.
const PLACE: &str = "/*DATA*/";

/// The data of the page.
#[derive(Serialize)]
pub(super) struct Page<'r> {
    pub(super) report: &'r Report,
    /// The tables that are drawn block by block.
    pub(super) strips: Vec<Strip>,
    /// The commits whose meta file is there; none for a table.
    pub(super) generations: Vec<log::Line>,
    pub(super) version: &'static str,
    /// The time at which the page is made.
    pub(super) time: Option<String>,
}

impl<'r> Page<'r> {
    pub(super) fn new(report: &'r Report, strips: Vec<Strip>, generations: Vec<log::Line>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        // A clock before 1970 is wrong, and the page then states no time.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(log::utc);
        Self { report, strips, generations, version, time }
    }

    /// Writes the page to a file. An earlier page is replaced as a whole; anything but a regular
    /// file stays, and is an error.
    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let written = self.text().map_err(io::Error::from).and_then(|text| replace(path, &text));
        written.map_err(|error| CliError::io("write to", path, error))
    }

    fn text(&self) -> serde_json::Result<String> {
        // Names of files may hold `</script>`, which would end the data: `<` is written as an
        // escape, which JSON allows in strings, the only places where it occurs.
        let data = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(PLACE, &data, 1))
    }
}

/// Writes a file under another name, and then gives it its own.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = readable_by_others().tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What makes temporary files that others may read, if the mask of the process allows it.
fn readable_by_others() -> tempfile::Builder<'static, 'static> {
    #[cfg(unix)]
    {
        let mut builder = tempfile::Builder::new();
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder
    }
    // Elsewhere files have what their folder gives them.
    #[cfg(not(unix))]
    tempfile::Builder::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_the_data() {
        let report = Report::of_table(Path::new("</script><script>alert(1)</script>"));
        let text = Page::new(&report, Vec::new(), Vec::new()).text().unwrap();
        assert_eq!(PAGE.matches("</script>").count(), text.matches("</script>").count());
        assert!(!text.contains(PLACE));
        assert!(text.contains(r"\u003c/script>\u003cscript>alert(1)"));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let links = ["src=", "href=", "@import", "url(", "fetch("];
        assert!(links.iter().all(|link| !PAGE.contains(link)));
    }
}
