//! `cargo xtask api`: compares the public items of the libraries with the lists in `docs/api`, so
//! that a change of what users call is seen, and is in the diff of the change that makes it.
//!
//! `cargo-public-api` prints the items from rustdoc's JSON, which only a nightly compiler writes.
//! Where one of them is missing, the chore prints NOT RUN.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// Prints the items that came and went, and returns false if there are any. `bless` writes the
/// lists anew instead.
pub(crate) fn run(root: &Path, bless: bool) -> bool {
    if let Some(missing) = missing_tool(root) {
        println!("api: NOT RUN: {missing}");
        return true;
    }
    let mut is_ok = true;
    for library in LIBRARIES {
        match check(root, library, bless) {
            Ok(verdict) => println!("{library}: {verdict}"),
            Err(error) => {
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

/// What this machine lacks.
fn missing_tool(root: &Path) -> Option<&'static str> {
    let works = |mut command: Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut version = public_api(root);
    version.arg("--version");
    let mut compiler = Command::new("rustc");
    compiler.args(["+nightly", "--version"]);
    if !works(compiler) {
        return Some("there is no nightly compiler (`rustup toolchain install nightly`)");
    }
    (!works(version)).then_some("`cargo install cargo-public-api --locked` was not done")
}

/// The program, with the nightly compiler.
fn public_api(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    // The variables of the cargo that started this program would choose its own compiler.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command.args(["+nightly", "public-api"]).current_dir(root);
    command
}

fn check(root: &Path, library: &str, bless: bool) -> Result<String, String> {
    let mut command = public_api(root);
    // Three times: without the impls that every type has, and those that are derived.
    command.args(["--package", library, "--all-features", "-sss"]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    let now = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let path = root.join(LISTS).join(format!("{library}.txt"));
    if bless {
        fs::write(&path, &now).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(format!("{} items written", now.lines().count()));
    }
    let before =
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match changes(&before, &now) {
        changes if changes.is_empty() => Ok(format!("{} items, as listed", now.lines().count())),
        changes => Err(changes),
    }
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
