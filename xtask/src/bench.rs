//! `cargo xtask bench`: starts the benchmark program, and for the workloads that need an older
//! commit or a cold cache the program of `cargo xtask conditions`.
//!
//! The rivals have a separate workspace, so that other chores build fast.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::conditions::{CONDITIONS, ConditionArguments};

/// The workspace of the other stores.
const RIVALS: &str = "benches/rivals/Cargo.toml";

/// The program in that workspace that measures the other stores and ours.
const BESIDE_RIVALS: &str = "sst-bench-rivals";

/// The set of other stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peers {
    /// No other store: only ours, a hash map and the floor.
    #[default]
    None,
    /// The stores that build in a minute or two: LMDB, redb, fjall, cdb.
    Light,
    /// The light ones and RocksDB.
    All,
}

impl Peers {
    /// The arguments of `cargo run`, started in the root of the workspace.
    fn build(self) -> &'static [&'static str] {
        match self {
            Self::None => &["--profile", "bench", "--package", "sst-benches", "--bin", "sst-bench"],
            Self::Light => &["--release", "--manifest-path", RIVALS, "--bin", BESIDE_RIVALS],
            Self::All => &[
                "--release",
                "--manifest-path",
                RIVALS,
                "--features",
                "rocksdb",
                "--bin",
                BESIDE_RIVALS,
            ],
        }
    }
}

/// Runs the workloads. True if that succeeded.
///
/// Of the letters of `--workload`, those of [`CONDITIONS`] are measured by `cargo xtask conditions`
/// first, and the report of the others opens with their pictures.
pub(crate) fn run(root: &Path, peers: Peers, arguments: &[String]) -> bool {
    let mut rest = arguments.to_vec();
    let against = take_value(&mut rest, "--against");
    let letters = take_value(&mut rest, "--workload");
    let letters: Vec<&str> = letters.iter().flat_map(|letters| letters.split(',')).collect();
    let (conditions, workloads): (Vec<&str>, Vec<&str>) =
        letters.into_iter().partition(|letter| CONDITIONS.contains(letter));
    if conditions.is_empty() {
        if against.is_some() {
            println!("--against is for the workloads {}", CONDITIONS.join(","));
            return false;
        }
        return measure(root, peers, arguments);
    }
    let Some(rounds) = value_of(&rest, "--rounds").map_or(Some(5), |rounds| rounds.parse().ok())
    else {
        println!("--rounds is a number");
        return false;
    };
    let json = root.join("target/conditions.json");
    let quick = rest.iter().any(|argument| argument == "--quick");
    let only = conditions.join(",");
    let measured = ConditionArguments::new(against, peers, json.clone(), rounds, only, quick);
    if !crate::conditions::run(root, &measured) {
        return false;
    }
    if workloads.is_empty() && value_of(&rest, "--out").is_none() {
        return true;
    }
    rest.extend(["--workload".to_owned(), workloads.join(",")]);
    rest.extend(["--conditions".to_owned(), json.display().to_string()]);
    measure(root, peers, &rest)
}

/// The value of an option: `--name value` or `--name=value`.
fn value_of<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = position_of(arguments, name)?;
    match arguments.get(at)?.split_once('=') {
        Some((_, value)) => Some(value),
        None => arguments.get(at + 1).map(String::as_str),
    }
}

/// As [`value_of`], and removes the option.
fn take_value(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = position_of(arguments, name)?;
    let value = value_of(arguments, name)?.to_owned();
    let len = if arguments.get(at)?.contains('=') { 1 } else { 2 };
    arguments.drain(at..at + len);
    Some(value)
}

fn position_of(arguments: &[String], name: &str) -> Option<usize> {
    let is_option = |argument: &String| argument.split('=').next() == Some(name);
    arguments.iter().position(is_option)
}

/// Builds and runs the program. True if it succeeded.
fn measure(root: &Path, peers: Peers, arguments: &[String]) -> bool {
    let status = crate::cargo()
        .args(["run", "--quiet"])
        .args(peers.build())
        .arg("--")
        .args(arguments)
        .current_dir(root)
        .status();
    status.is_ok_and(|status| status.success())
}

/// Builds the program that loads the same records into RocksDB. Returns its path.
pub(crate) fn bulk_rival(root: &Path) -> Option<PathBuf> {
    build_rival(root, Peers::All, "sst-bulk-rocksdb")
}

/// Builds the program that measures other stores under the conditions of users. Returns its path.
pub(crate) fn conditions_rivals(root: &Path, peers: Peers) -> Option<PathBuf> {
    build_rival(root, peers, "sst-conditions-rivals")
}

/// Builds a program of the rivals' workspace.
fn build_rival(root: &Path, peers: Peers, program: &str) -> Option<PathBuf> {
    let features: &[&str] = if peers == Peers::All { &["--features", "rocksdb"] } else { &[] };
    let status = crate::cargo()
        .args(["build", "--quiet", "--release", "--manifest-path", RIVALS])
        .args(features)
        .args(["--bin", program])
        .current_dir(root)
        .status();
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("benches/rivals/target"), |dir| root.join(dir));
    status.is_ok_and(|status| status.success()).then(|| target.join("release").join(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_both_forms_and_taken_out_whole() {
        let arguments = ["--quick", "--workload", "a,g", "--rounds=3", "--out", "x"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        assert_eq!(take_value(&mut arguments, "--workload").as_deref(), Some("a,g"));
        assert_eq!(value_of(&arguments, "--out"), Some("x"));
        assert_eq!(take_value(&mut arguments, "--rounds").as_deref(), Some("3"));
        assert_eq!(take_value(&mut arguments, "--against"), None);
        assert_eq!(arguments, ["--quick", "--out", "x"]);
        // An option without its value.
        assert_eq!(take_value(&mut vec!["--out".to_owned()], "--out"), None);
    }
}
