//! Mutation testing: cargo-mutants changes one expression at a time, and some test should notice.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

/// A package to mutate, and the tests that should notice.
struct Mutated {
    package: &'static str,
    /// Arguments of cargo-mutants.
    arguments: &'static [&'static str],
    /// Arguments of `cargo test`, for building too. No doc tests: they take longer to build than
    /// all others to run.
    tests: &'static [&'static str],
}

/// The packages that are mutated. All tests of one mutant, built anew, take some 20 s of one
/// processor.
const MUTATED: [Mutated; 2] = [
    Mutated {
        package: "sst-format",
        // The code that plants bugs is in no tested build.
        arguments: &["--features", "explain", "--exclude", "**/planted.rs"],
        tests: &["--lib"],
    },
    Mutated {
        package: "sst-reader",
        arguments: &[],
        // A reader needs files to read, so most of its tests are in packages that have a writer.
        tests: &[
            "--package=sst-conformance",
            "--package=sst-torture",
            // Beside the code: blocks, cache, search, triage; and the parts of the torture
            // programme, which judge by it.
            "--lib",
            // Fixed tables, by every way of asking.
            "--test=portable",
            // Every way of opening files.
            "--test=files",
            // Certificates: the live entries, compared with the commit's statement.
            "--test=certificate",
            // Of the torture programme: sets, refreshed and outrun; which keys are lost; hostile
            // tables and directories; the defects of the original.
            "--test=it",
            // Not reference vectors and random files, which take minutes, nor the tests of the
            // command line.
        ],
    },
];

/// The most seconds that the tests of one mutant may take: many times their need, for other work
/// beside them.
const TIMEOUT: &str = "120";

/// Mutates each package in turn, or the one that `only` names. The reports are left in
/// `target/mutants/PACKAGE`.
pub(crate) fn run(root: &Path, only: Option<&str>, arguments: &[String]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new(&cargo).args(["mutants", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!(
            "NOT RUN: there is no cargo-mutants here; `cargo install cargo-mutants` brings it"
        );
        return false;
    }
    let mutants = root.join("target/mutants");
    let tree = mutants.join("tree");
    if let Err(error) = copy(root, &tree) {
        println!("NOT RUN: cannot copy the workspace to {}: {error}", tree.display());
        return false;
    }
    let chosen = MUTATED.iter().filter(|known| only.is_none_or(|only| known.package == only));
    let (mut is_ok, mut count) = (true, 0);
    for Mutated { package, arguments: of_package, tests } in chosen {
        count += 1;
        println!("== {package}");
        let status = Command::new(&cargo)
            .args(["mutants", "--in-place", "--package", package, "--timeout", TIMEOUT])
            .args(*of_package)
            .arg("--output")
            .arg(mutants.join(package))
            .args(tests.iter().map(|test| format!("--cargo-arg={test}")))
            .args(arguments)
            .env("CARGO_TARGET_DIR", mutants.join("build"))
            // Backtraces are not looked at.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .current_dir(&tree)
            .status();
        // Its exit code 2 says that mutants were missed, 3 that tests of some did not end.
        is_ok &= status.is_ok_and(|status| matches!(status.code(), Some(0 | 2 | 3)));
    }
    if count == 0 {
        println!("NOT RUN: only sst-format and sst-reader are mutated");
    }
    is_ok && count > 0
}

/// Makes `tree` a copy of all files of the workspace that git knows or would add. It is always in
/// the same place, and files keep their times, so that cargo compiles only the changed packages
/// again.
fn copy(root: &Path, tree: &Path) -> io::Result<()> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(list).current_dir(root).output()?;
    if !listed.status.success() {
        return Err(io::Error::other("git cannot list its files"));
    }
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let (from, to) = (root.join(name), tree.join(name));
        // One that is listed may have been removed since.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(tree))?;
            fs::copy(&from, &to)?;
            File::options().write(true).open(&to)?.set_modified(from.metadata()?.modified()?)?;
        }
    }
    Ok(())
}
