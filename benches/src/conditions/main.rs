//! Measures our store under the conditions of users: data colder than memory (g), many tables (h),
//! increments for days (i), scans and merges (j), one table with a small cache (t), and writing
//! files that are kept (w).
//!
//! `cargo xtask conditions` builds this program, and runs its rounds in turn with the rounds of a
//! build of an older commit. `prepare` writes the stores of a condition; `round` measures the
//! condition once and prints one JSON object of figures. The program uses only those parts of the
//! libraries that the older commits also have.

#![expect(clippy::print_stdout, reason = "a command line program")]

mod cold;
mod counters;
mod device;
mod figures;
mod increments;
mod merging;
mod names;
mod one_table;
mod pages;
mod stores;
mod tables;
mod walking;
mod writing;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use figures::Figures;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures our store under the conditions of users.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    step: Step,
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
    /// Write the stores.
    Prepare,
    /// Measure once, and print the figures as JSON.
    Round {
        /// Number of the round. It selects the keys that are looked up.
        #[arg(long, default_value_t = 0)]
        number: u64,
    },
}

/// Number of entries of a store, and its folder.
#[derive(Clone, Copy)]
struct Scope<'a> {
    dir: &'a Path,
    entries: usize,
    /// Number of the round.
    round: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let round = match arguments.step {
        Step::Prepare => 0,
        Step::Round { number } => number,
    };
    let entries = if arguments.quick { 100_000 } else { 1_000_000 };
    let scope = Scope { dir: &arguments.dir, entries, round };
    std::fs::create_dir_all(scope.dir)?;
    let mut figures = Figures::default();
    for name in &arguments.only {
        match (name.as_str(), arguments.step) {
            ("g", Step::Prepare) => cold::prepare(scope)?,
            ("g", Step::Round { .. }) => cold::round(scope, &mut figures)?,
            ("i", Step::Prepare) => increments::prepare(scope)?,
            ("i", Step::Round { .. }) => increments::round(scope, &mut figures)?,
            // The conditions h and j use the same stores.
            ("h" | "j", Step::Prepare) => tables::prepare(scope)?,
            ("h", Step::Round { .. }) => tables::round(scope, &mut figures)?,
            ("j", Step::Round { .. }) => {
                walking::round(scope, &mut figures)?;
                merging::round(scope, &mut figures)?;
            }
            ("t", Step::Prepare) => one_table::prepare(scope)?,
            ("t", Step::Round { .. }) => one_table::round(scope, &mut figures)?,
            ("w", Step::Prepare) => {}
            ("w", Step::Round { .. }) => writing::round(scope, &mut figures)?,
            (other, _) => return Err(format!("no condition {other}").into()),
        }
    }
    if matches!(arguments.step, Step::Round { .. }) {
        if figures.is_empty() {
            return Err("nothing was measured".into());
        }
        println!("{}", figures.to_json()?);
    }
    Ok(())
}
