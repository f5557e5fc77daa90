//! `cargo xtask bench`: starts the benchmark program.
//!
//! The rivals have a separate workspace, so that other chores build fast.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

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

/// Builds and runs the program. True if it succeeded.
pub(crate) fn run(root: &Path, peers: Peers, arguments: &[String]) -> bool {
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
