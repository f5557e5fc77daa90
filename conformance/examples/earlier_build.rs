//! Asks an earlier build of this repository what it finds in a directory of today. It must say that
//! it does not know the version, and call nothing damaged.
//!
//! ```text
//! cargo run -p sst-conformance --example earlier_build -- [COMMIT [DIRECTORY]]
//! ```
//!
//! COMMIT is by default eb2696f, the one before protection version 3, and DIRECTORY the vector of
//! version 3. A worktree of the commit is made, in which `earlier_build/asked.rs` is built and run
//! on a copy of the directory.

#![allow(clippy::print_stdout, reason = "an example that reports")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The program that is run there.
const ASKED: &str = include_str!("earlier_build/asked.rs");

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut arguments = std::env::args().skip(1);
    let commit = arguments.next().unwrap_or_else(|| "eb2696f".to_owned());
    let vector = || root.join("conformance/vectors/versions/3");
    let directory = arguments.next().map_or_else(vector, PathBuf::from);
    match ask(&root, &commit, &directory) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(3)
        }
    }
}

/// Whether the earlier build says what it must.
fn ask(root: &Path, commit: &str, directory: &Path) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (tree, copy) = (folder.path().join("tree"), folder.path().join("directory"));
    fs::create_dir(&copy)?;
    for file in fs::read_dir(directory)? {
        let file = file?;
        fs::copy(file.path(), copy.join(file.file_name()))?;
    }
    let git = |arguments: &[&str]| {
        Command::new("git").args(arguments).arg(&tree).current_dir(root).status()
    };
    let added = Command::new("git")
        .args(["worktree", "add", "--quiet", "--detach"])
        .arg(&tree)
        .arg(commit)
        .current_dir(root)
        .status()?;
    if !added.success() {
        return Err(format!("git has no worktree of {commit}").into());
    }
    fs::create_dir_all(tree.join("conformance/examples"))?;
    fs::write(tree.join("conformance/examples/asked.rs"), ASKED)?;
    let asked = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--package", "sst-conformance", "--example", "asked", "--"])
        .arg(&copy)
        .env("CARGO_TARGET_DIR", root.join("target/earlier"))
        .current_dir(&tree)
        .status();
    git(&["worktree", "remove", "--force"])?;
    Ok(asked?.success())
}
