//! Checks that lines of comments have at most 100 columns, as rustfmt ensures for code. rustfmt
//! does not change comments.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{CheckError, Row, fail};

const MAX_COLUMNS: usize = 100;

/// Checks every Rust file that Git lists in the workspace at `root`.
#[must_use]
pub fn check(root: &Path) -> Row {
    let mut row = Row::new("comments within 100 columns");
    match files(root) {
        Ok(files) => {
            for file in files.lines() {
                let text = fs::read_to_string(root.join(file));
                let text = text.map_err(|error| CheckError::new(error.to_string()));
                row.count(file, text.and_then(|text| check_text(&text)));
            }
        }
        Err(error) => row.count("git ls-files", Err(error)),
    }
    row
}

fn files(root: &Path) -> Result<String, CheckError> {
    let mut git = Command::new("git");
    let output = git.arg("-C").arg(root).args(["ls-files", "*.rs"]).output();
    let output = output.map_err(|error| CheckError::new(format!("cannot run git: {error}")))?;
    if !output.status.success() {
        return fail(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| CheckError::new(error.to_string()))
}

fn check_text(text: &str) -> Result<(), CheckError> {
    let is_long =
        |line: &str| line.trim_start().starts_with("//") && line.chars().count() > MAX_COLUMNS;
    match text.lines().position(is_long) {
        Some(index) => fail(format!("line {} is longer", index + 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_are_found() {
        assert!(check_text(&format!("{}// {}", " ".repeat(4), "ä".repeat(93))).is_ok());
        assert!(check_text(&format!("{}// {}", " ".repeat(4), "ä".repeat(94))).is_err());
    }
}
