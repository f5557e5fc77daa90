//! The checks that writer and reader follow the format: the reference vectors in both directions,
//! real directories, a matrix of round trips, and the rule of dependencies between crates.
//!
//! `cargo xtask conformance` calls [`run`] and prints its [`Report`]. The integration tests in
//! `tests/` use the same functions.

pub mod chains;
pub mod comments;
pub mod dependencies;
pub mod digest;
pub mod directories;
pub mod folders;
mod random_files;
pub mod reader_vectors;
mod report;
pub mod round_trip;
pub mod second_decoder;
mod splitmix;
mod test_entry;
pub mod vectors;
pub mod version_3;
pub mod writer_vectors;

pub use report::{Report, Row};
pub use splitmix::SplitMix;
pub use test_entry::{TestEntry, TestValue};

use std::path::Path;

/// The reason why a check failed: one line that names the case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

impl CheckError {
    /// A failure with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Shorthand for a failed check.
///
/// # Errors
///
/// Always returns an error.
pub fn fail<T>(message: impl Into<String>) -> Result<T, CheckError> {
    Err(CheckError::new(message))
}

/// Runs every check on the workspace at `root`. Passes each row to `on_row` as soon as it is
/// complete.
pub fn run(root: &Path, mut on_row: impl FnMut(&Row)) -> Report {
    let vectors_dir = root.join("conformance/vectors");
    let mut report = Report::default();
    let mut add = |rows: Vec<Row>| {
        rows.iter().for_each(&mut on_row);
        report.rows.extend(rows);
    };
    add(check_sources(root));
    add(reference_vectors(&vectors_dir.join("reference")));
    add(directories::check_all(&vectors_dir));
    add(vec![second_decoder::check(root)]);
    add(chains::check());
    for part in round_trip::PARTS {
        add(vec![part()]);
    }
    report
}

/// Checks only the text of the sources of the workspace at `root`: dependencies, folders, comments.
/// Takes less than a second.
pub fn run_on_sources(root: &Path, on_row: impl FnMut(&Row)) -> Report {
    let rows = check_sources(root);
    rows.iter().for_each(on_row);
    Report { rows }
}

fn check_sources(root: &Path) -> Vec<Row> {
    vec![dependencies::check(root), folders::check(root), comments::check(root)]
}

/// Checks the reference vectors in both directions.
fn reference_vectors(dir: &Path) -> Vec<Row> {
    let mut reader = Row::new("reference vectors, our reader");
    let mut writer = Row::new("reference vectors, our writer");
    match vectors::load(dir) {
        Ok(cases) => {
            for case in &cases {
                reader.count(&case.name, reader_vectors::check(case));
                writer.count(&case.name, writer_vectors::check(case));
            }
        }
        Err(error) => {
            reader.count("manifest.json", Err(error.clone()));
            writer.count("manifest.json", Err(error));
        }
    }
    vec![reader, writer]
}
