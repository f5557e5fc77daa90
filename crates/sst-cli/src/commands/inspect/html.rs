//! The page of `sst inspect --html`: one file with all that it needs, drawn by its own script.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use sst_writer::file::AtomicFile;

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
        Self { report, strips, generations, version, time: log::utc(SystemTime::now()) }
    }

    /// Writes the page to a file. A file that is there is replaced as a whole.
    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let failed = |error| CliError::io("write to", path, error);
        let text = self.text().map_err(|error| failed(error.into()))?;
        let write = || {
            let mut file = AtomicFile::create(path)?;
            file.write(text.as_bytes())?;
            file.persist()
        };
        write().map_err(|error| failed(error.source))
    }

    fn text(&self) -> serde_json::Result<String> {
        // Names of files may hold `</script>`, which would end the data: `<` is written as an
        // escape, which JSON allows in strings, the only places where it occurs.
        let data = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(PLACE, &data, 1))
    }
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
