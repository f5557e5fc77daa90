//! `cargo xtask platforms`: checks that the crates compile for other systems, processors and an old
//! compiler, and looks keys up in WebAssembly.
//!
//! Each row needs a target of rustup, or another toolchain, which the command tries to install. A
//! row that cannot be checked says NOT RUN and the reason.

use std::path::Path;
use std::process::{Command, Stdio};

/// The libraries without stores, which compile within seconds.
const LIBRARIES: &[&str] =
    &["sst-format", "sst-amqf", "sst-reader", "sst-writer", "sst-merge", "sst-files"];

/// What can be used without files.
const IN_MEMORY: &[&str] = &["sst-format", "sst-amqf", "sst-reader"];

/// The target of WebAssembly.
const WASM: &str = "wasm32-unknown-unknown";

/// The target of Windows.
const WINDOWS: &str = "x86_64-pc-windows-msvc";

/// A system or processor, and the packages that must compile for it.
const TARGETS: &[(&str, &[&str])] = &[
    (WINDOWS, LIBRARIES),
    ("aarch64-apple-darwin", LIBRARIES),
    ("i686-unknown-linux-gnu", LIBRARIES),
    ("aarch64-unknown-linux-gnu", IN_MEMORY),
    (WASM, IN_MEMORY),
];

/// Files of the look-ups in WebAssembly.
const SCRIPT: &str = "examples/wasm/check.mjs";
const VECTOR: &str = "conformance/vectors/reference/mixed-20000";

/// The result of a row: `Err` has the reason why it was not run.
type Outcome = Result<bool, String>;

/// Checks all rows and prints a line for each. With `is_brief` the command is checked for Windows
/// only, which differs most, and nothing with the oldest compiler. False if a row failed.
pub(crate) fn run(root: &Path, is_brief: bool) -> bool {
    let mut is_ok = true;
    let mut report = |name: &str, outcome: Outcome| {
        let verdict = match outcome {
            Ok(true) => "ok".to_owned(),
            Ok(false) => "FAILED".to_owned(),
            Err(reason) => format!("NOT RUN: {reason}"),
        };
        is_ok &= verdict != "FAILED";
        println!("{name:34}  {verdict}");
    };
    for (target, packages) in TARGETS {
        report(target, installed(target).and_then(|()| check(root, target, packages)));
    }
    report("lookups in WebAssembly", installed(WASM).and_then(|()| lookups(root)));
    let is_asked = |target: &str| if is_brief { target == WINDOWS } else { target != WASM };
    for (target, _) in TARGETS.iter().filter(|(target, _)| is_asked(target)) {
        let name = format!("the command for {target}");
        report(&name, installed(target).and_then(|()| check(root, target, &["sst-cli"])));
    }
    if !is_brief {
        report("the oldest compiler", oldest(root));
    }
    is_ok
}

/// Installs a target. Returns the reason why it cannot be used.
fn installed(target: &str) -> Result<(), String> {
    let list = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let list = list.map_err(|error| format!("rustup: {error}"))?;
    if String::from_utf8_lossy(&list.stdout).lines().any(|line| line == target) {
        return Ok(());
    }
    quiet(Command::new("timeout").args(["60", "rustup", "target", "add", target]))
        .then_some(())
        .ok_or_else(|| format!("rustup has no target {target}"))
}

/// Compiles packages for a target, without code. A warning is an error.
fn check(root: &Path, target: &str, packages: &[&str]) -> Outcome {
    let mut cargo = crate::cargo();
    cargo.args(["check", "--quiet", "--target", target]).env("RUSTFLAGS", "-D warnings");
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    Ok(cargo.current_dir(root).status().is_ok_and(|status| status.success()))
}

/// Builds the reader for WebAssembly and lets Node.js look keys up in it.
fn lookups(root: &Path) -> Outcome {
    if !quiet(Command::new("node").arg("--version")) {
        return Err("there is no node".to_owned());
    }
    let mut cargo = crate::cargo();
    cargo.args(["build", "--quiet", "--package", "sst-wasm", "--target", WASM]).current_dir(root);
    if !cargo.status().is_ok_and(|status| status.success()) {
        return Ok(false);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let mut node = Command::new("node");
    node.arg(SCRIPT).arg(target.join(WASM).join("debug/sst_wasm.wasm"));
    node.args([format!("{VECTOR}.sst"), format!("{VECTOR}.tsv")]).current_dir(root);
    Ok(node.status().is_ok_and(|status| status.success()))
}

/// Compiles the libraries and the command with the compiler that `rust-version` names.
fn oldest(root: &Path) -> Outcome {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))
        .map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .ok_or("Cargo.toml has no rust-version")?;
    let mut install = Command::new("timeout");
    install.args(["300", "rustup", "toolchain", "install", version, "--profile", "minimal"]);
    if !quiet(&mut install) {
        return Err(format!("rustup cannot install {version}"));
    }
    let mut cargo = Command::new("rustup");
    cargo.args(["run", version, "cargo", "check", "--quiet", "--target-dir", "target/oldest"]);
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    let packages = [LIBRARIES, &["sst-object-store", "sst-cli"]].concat();
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    Ok(cargo.current_dir(root).status().is_ok_and(|status| status.success()))
}

/// Whether a command succeeds; its output is not shown.
fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
