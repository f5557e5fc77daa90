//! `cargo xtask api`: compares the public items of the libraries with the lists in `docs/api`, so
//! that a change of what users call is seen, and is in the diff of the change that makes it.
//!
//! The items are read from rustdoc's JSON. Its format is not stable: the library that reads it
//! knows one version, that of the compiler which `.ci/run` uses, and with another compiler the
//! chore prints NOT RUN.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The libraries that others use.
const LIBRARIES: [&str; 7] = [
    "sst-format",
    "sst-amqf",
    "sst-reader",
    "sst-writer",
    "sst-merge",
    "sst-object-store",
    "sst-files",
];

/// The folder of the lists, relative to the root: a file for each library, an item in each line.
const LISTS: &str = "docs/api";

/// The version of rustdoc's JSON that `public-api` 0.52.0 reads: Rust 1.95 writes it.
const FORMAT_VERSION: u32 = 57;

/// Why a library was not compared with its list.
enum Failure {
    /// The compiler writes rustdoc's JSON in another version.
    OtherCompiler(u32),
    Other(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

/// Prints the items that came and went, and returns false if there are any. `bless` writes the
/// lists anew instead.
pub(crate) fn run(root: &Path, bless: bool) -> bool {
    let folder = match document(root) {
        Ok(folder) => folder,
        Err(error) => {
            println!("api: {error}");
            return false;
        }
    };
    let mut is_ok = true;
    for library in LIBRARIES {
        match check(root, &folder, library, bless) {
            Ok(verdict) => println!("{library}: {verdict}"),
            Err(Failure::OtherCompiler(version)) => {
                println!(
                    "api: NOT RUN: this compiler's rustdoc writes version {version} of its JSON, \
                     and version {FORMAT_VERSION} is known, which Rust 1.95 writes"
                );
                return true;
            }
            Err(Failure::Other(error)) => {
                is_ok = false;
                println!("{library}: {error}");
            }
        }
    }
    if !is_ok {
        println!("`cargo xtask api --bless` writes the lists of {LISTS} anew");
    }
    is_ok
}

/// Writes rustdoc's JSON of all libraries, and returns the folder where it lies.
///
/// The features are those of the gate "docs", so that what it has compiled serves here too.
fn document(root: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command.args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features", "--lib"]);
    // The script lets a stable rustdoc write JSON. As a variable of cargo itself, RUSTC_BOOTSTRAP
    // would have dependencies compiled anew, whose build scripts ask for it.
    command.env("RUSTDOC", root.join("xtask/rustdoc-json"));
    command.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    let status = command.current_dir(root).status();
    match status {
        Ok(status) if status.success() => Ok(target(root)?.join("doc")),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

/// The folder of what cargo builds, by cargo's own word.
fn target(root: &Path) -> Result<PathBuf, String> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut command = Command::new("cargo");
    command.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root);
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let metadata = serde_json::from_slice::<Metadata>(&output.stdout);
    metadata.map(|metadata| metadata.target_directory).map_err(|error| error.to_string())
}

fn check(root: &Path, folder: &Path, library: &str, bless: bool) -> Result<String, Failure> {
    let now = items(&folder.join(format!("{}.json", library.replace('-', "_"))))?;
    let path = root.join(LISTS).join(format!("{library}.txt"));
    let in_list = |error| format!("{}: {error}", path.display());
    if bless {
        fs::write(&path, &now).map_err(in_list)?;
        return Ok(format!("{} items written", now.lines().count()));
    }
    let before = fs::read_to_string(&path).map_err(in_list)?;
    match changes(&before, &now) {
        changes if changes.is_empty() => Ok(format!("{} items, as listed", now.lines().count())),
        changes => Err(Failure::Other(changes)),
    }
}

/// The public items in a file of rustdoc, one in each line, without the impls that every type has,
/// and without those that are derived.
fn items(json: &Path) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let in_json = |error: &dyn std::fmt::Display| format!("{}: {error}", json.display());
    let text = fs::read(json).map_err(|error| in_json(&error))?;
    let version = serde_json::from_slice::<Version>(&text).map_err(|error| in_json(&error))?;
    if version.format_version != FORMAT_VERSION {
        return Err(Failure::OtherCompiler(version.format_version));
    }
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| in_json(&error))?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// A line for each item that only one of two lists has.
fn changes(before: &str, now: &str) -> String {
    let (before, now): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), now.lines().collect());
    let gone = before.difference(&now).map(|item| format!("\n  gone: {item}"));
    gone.chain(now.difference(&before).map(|item| format!("\n  new:  {item}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn items_that_came_and_went_are_told() {
        assert_eq!(changes("a\nb\nc", "b\nc\nd"), "\n  gone: a\n  new:  d");
        assert_eq!(changes("a\nb", "b\na"), "");
    }
}
