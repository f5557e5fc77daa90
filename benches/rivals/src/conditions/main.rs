//! Measures other stores under the conditions of `cargo xtask conditions`: data colder than memory
//! (g), many tables (h), scans and merges (j), and writing files that are kept (w).
//!
//! The steps, the folder and the names of the figures are those of `sst-conditions`, and this
//! program shares its counters. A store takes part in the conditions that it supports: only RocksDB
//! can keep several tables apart, so only RocksDB takes part with more than one table.

#![expect(clippy::print_stdout, reason = "a command line program")]

mod cold;
#[path = "../../../src/conditions/counters.rs"]
mod counters;
#[path = "../../../src/conditions/figures.rs"]
mod figures;
#[path = "../../../src/conditions/pages.rs"]
mod pages;
mod tables;
mod writing;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use sst_bench_rivals::contenders;
use sst_benches::store::Contender;

use figures::Figures;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures other stores under the conditions of users.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    step: Step,
    /// Name of the store.
    #[arg(long, global = true)]
    store: Option<String>,
    /// The folder of the stores, on a real disk.
    #[arg(long, global = true, default_value = "target/conditions")]
    dir: PathBuf,
    /// Measure only these conditions, given by their letters.
    #[arg(long, global = true, value_delimiter = ',', default_value = "g,h,i,j,t,w")]
    only: Vec<String>,
    /// Use a tenth of the entries, to check that everything works.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum Step {
    /// Print the names of the stores as JSON.
    Stores,
    /// Write the files of the store.
    Prepare,
    /// Measure once, and print the figures as JSON.
    Round {
        /// Number of the round. It selects the keys that are looked up.
        #[arg(long, default_value_t = 0)]
        number: u64,
    },
}

/// The store that is measured, its entries, and its folder.
#[derive(Clone, Copy)]
struct Scope<'a> {
    store: &'a dyn Contender,
    dir: &'a Path,
    entries: usize,
    /// Number of the round.
    round: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let stores = contenders();
    let round = match arguments.step {
        Step::Stores => {
            let names: Vec<_> = stores.iter().map(|store| store.name()).collect();
            println!("{}", serde_json::to_string(&names)?);
            return Ok(());
        }
        Step::Prepare => 0,
        Step::Round { number } => number,
    };
    let store = stores
        .iter()
        .find(|store| Some(store.name()) == arguments.store.as_deref())
        .ok_or("--store must name one of those that `stores` prints")?;
    let entries = if arguments.quick { 100_000 } else { 1_000_000 };
    let scope = Scope { store: store.as_ref(), dir: &arguments.dir, entries, round };
    fs::create_dir_all(scope.dir)?;
    raise_open_file_limit();
    let mut figures = Figures::default();
    for name in &arguments.only {
        match (name.as_str(), arguments.step) {
            ("g", Step::Prepare) => cold::prepare(scope)?,
            ("g", Step::Round { .. }) => cold::round(scope, &mut figures)?,
            ("h" | "j", Step::Prepare) => tables::prepare(scope)?,
            ("h", Step::Round { .. }) => tables::look_up(scope, &mut figures)?,
            ("j", Step::Round { .. }) => {
                tables::walk(scope, &mut figures)?;
                tables::merge(scope, &mut figures)?;
            }
            ("w", Step::Round { .. }) => writing::round(scope, &mut figures)?,
            ("w", _) => {}
            // Increments for days are merged by our policy; other stores have their own. One table
            // with a small cache is compared with others in `cargo xtask bench`.
            ("i" | "t", _) => {}
            (other, _) => return Err(format!("no condition {other}").into()),
        }
    }
    if matches!(arguments.step, Step::Round { .. }) {
        println!("{}", figures.to_json()?);
    }
    Ok(())
}

/// Raises the limit on open files to the hard limit: a store of 1,000 tables may open all of them
/// at once.
fn raise_open_file_limit() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // A failure here shows later, when a store cannot open its files.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
