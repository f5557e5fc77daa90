//! Loads unsorted records within a memory budget. `cargo xtask bulk` runs this program.

#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

mod floor;
mod load;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use sst_benches::Figure;
use sst_benches::bulk::{Cost, Input, RECORD_LEN};

use crate::load::Error;

/// Loads unsorted records within a memory budget.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Compare a load with the physical floor. Each runs in its own process, in turn; prints times,
    /// their ratio and the peak memory.
    Compare {
        #[command(flatten)]
        load: LoadArgs,
        /// Number of rounds; figures are medians over them.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// A program that loads the same records into another store; `cargo xtask bulk --peers all`
        /// passes one.
        #[arg(long)]
        rival: Option<PathBuf>,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Load with several budgets and numbers of threads, list the checksums of the files, and fail
    /// if they differ.
    Identical {
        /// Number of records.
        #[arg(long, default_value_t = 10_000_000)]
        records: u64,
        /// Budgets in MiB.
        #[arg(long, default_value = "32,256,2048", value_delimiter = ',')]
        budgets: Vec<usize>,
        /// Numbers of threads.
        #[arg(long, default_value = "1,2", value_delimiter = ',')]
        threads: Vec<usize>,
        /// Folder for temporary files, which are removed afterwards.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Run once and print time and memory as JSON; the other commands start this one.
    #[command(hide = true)]
    Once {
        #[command(flatten)]
        load: LoadArgs,
        #[arg(long)]
        input: PathBuf,
        /// Run the floor instead of a load.
        #[arg(long)]
        floor: bool,
    },
}

#[derive(Args, Clone)]
struct LoadArgs {
    /// Number of records of 116 bytes each.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Memory budget in MiB.
    #[arg(long, default_value_t = 256)]
    budget: usize,
    /// Number of threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Folder for temporary files, which are removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Compare { load, rounds, rival, json } => {
            compare(&load, rounds, rival.as_deref(), json)
        }
        Chore::Identical { records, budgets, threads, dir } => {
            identical(records, &budgets, &threads, dir.as_deref())
        }
        Chore::Once { load, input, floor } => once(&load, input, floor),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

const NO_ROUNDS: &str = "nothing was measured: --rounds must be at least 1";

fn work_dir(dir: Option<&Path>) -> Result<tempfile::TempDir, Error> {
    Ok(match dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    })
}

/// Runs one load or the floor in this process.
fn once(load: &LoadArgs, input: PathBuf, floor: bool) -> Result<(), Error> {
    let input = Input { path: input, records: load.records };
    let directory = load.dir.clone().ok_or("--dir says where to load to")?;
    let cost = Cost::measure(|cost| {
        if floor {
            fs::create_dir_all(&directory)?;
            floor::run(&input, load.threads as u64, &directory)?;
        } else {
            let summary = load::run(&input, load.budget << 20, load.threads, &directory)?;
            cost.tables = summary.tables;
            cost.file_bytes = summary.file_bytes;
            cost.spilled_bytes = summary.spilled_bytes;
        }
        Ok(())
    })?;
    println!("{}", cost.to_json()?);
    Ok(())
}

/// The kind of work of one process.
#[derive(Clone, Copy)]
enum Work<'a> {
    Floor,
    Load,
    /// The program of another store, with the same input.
    Rival(&'a Path),
}

/// Runs one load or the floor in another process.
fn run_once(load: &LoadArgs, input: &Path, dir: &Path, work: Work<'_>) -> Result<Cost, Error> {
    let mut command = match work {
        Work::Rival(program) => Command::new(program),
        Work::Floor | Work::Load => Command::new(std::env::current_exe()?),
    };
    if !matches!(work, Work::Rival(_)) {
        command.args(["once", "--records", &load.records.to_string()]);
    }
    if matches!(work, Work::Floor) {
        command.arg("--floor");
    }
    command.arg("--input").arg(input).arg("--dir").arg(dir);
    command.args(["--budget", &load.budget.to_string()]);
    command.args(["--threads", &load.threads.to_string()]);
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("a run has failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The result of a comparison: medians over the rounds.
#[derive(Serialize)]
struct Comparison {
    records: u64,
    input_bytes: u64,
    budget_bytes: u64,
    threads: usize,
    floor: Median,
    load: Median,
    /// Time of our load as a multiple of the floor's.
    ratio: f64,
    cpu_ratio: f64,
    rival: Option<Median>,
    /// Time of the other store as a multiple of ours.
    rival_ratio: Option<f64>,
    rival_cpu_ratio: Option<f64>,
}

/// Median time and peak memory of one contender.
#[derive(Serialize)]
struct Median {
    seconds: f64,
    cpu_seconds: f64,
    #[serde(flatten)]
    last: Last,
}

/// Highest memory of all rounds, and the output of the last round.
#[derive(Default, Serialize)]
struct Last {
    peak_memory_bytes: Option<u64>,
    tables: u64,
    file_bytes: u64,
    spilled_bytes: u64,
}

/// Time and memory of one contender, collected round by round.
#[derive(Default)]
struct Rounds {
    seconds: Figure,
    cpu_seconds: Figure,
    last: Last,
}

impl Rounds {
    fn push(&mut self, cost: &Cost) {
        self.seconds.push(cost.seconds);
        self.cpu_seconds.push(cost.cpu_seconds);
        self.last = Last {
            peak_memory_bytes: self.last.peak_memory_bytes.max(cost.peak_memory),
            tables: cost.tables,
            file_bytes: cost.file_bytes,
            spilled_bytes: cost.spilled_bytes,
        };
    }

    fn median(self) -> Result<Median, Error> {
        Ok(Median {
            seconds: self.seconds.median().ok_or(NO_ROUNDS)?,
            cpu_seconds: self.cpu_seconds.median().ok_or(NO_ROUNDS)?,
            last: self.last,
        })
    }
}

fn compare(load: &LoadArgs, rounds: usize, rival: Option<&Path>, json: bool) -> Result<(), Error> {
    let work_dir = work_dir(load.dir.as_deref())?;
    let input = Input::generate(&work_dir.path().join("input"), load.records)?;
    let run = |work| {
        let dir = work_dir.path().join("out");
        let cost = run_once(load, &input.path, &dir, work);
        fs::remove_dir_all(&dir).map_err(Error::from).and(cost)
    };
    let (mut floor, mut ours, mut theirs) = (Rounds::default(), Rounds::default(), None);
    let mut ratios: [Figure; 4] = Default::default();
    let [ratio, cpu_ratio, rival_ratio, rival_cpu_ratio] = &mut ratios;
    for _ in 0..rounds {
        let (least, loaded) = (run(Work::Floor)?, run(Work::Load)?);
        ratio.push(loaded.seconds / least.seconds);
        cpu_ratio.push(loaded.cpu_seconds / least.cpu_seconds);
        if let Some(rival) = rival {
            let cost = run(Work::Rival(rival))?;
            rival_ratio.push(cost.seconds / loaded.seconds);
            rival_cpu_ratio.push(cost.cpu_seconds / loaded.cpu_seconds);
            theirs.get_or_insert_with(Rounds::default).push(&cost);
        }
        floor.push(&least);
        ours.push(&loaded);
    }
    let [ratio, cpu_ratio, rival_ratio, rival_cpu_ratio] = ratios.map(|figure| figure.median());
    let comparison = Comparison {
        records: load.records,
        input_bytes: load.records * RECORD_LEN as u64,
        budget_bytes: (load.budget as u64) << 20,
        threads: load.threads,
        floor: floor.median()?,
        load: ours.median()?,
        ratio: ratio.ok_or(NO_ROUNDS)?,
        cpu_ratio: cpu_ratio.ok_or(NO_ROUNDS)?,
        rival: theirs.map(Rounds::median).transpose()?,
        rival_ratio,
        rival_cpu_ratio,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print(&comparison);
    }
    Ok(())
}

fn print(it: &Comparison) {
    println!(
        "{} records, {:.0} MB in no order; budget {:.0} MiB, {} threads; medians",
        it.records,
        megabytes(it.input_bytes),
        mebibytes(it.budget_bytes),
        it.threads
    );
    println!(
        "{:>8} {:>9} {:>14} {:>12} {:>7} {:>9} {:>11}",
        "", "seconds", "processor s", "memory MiB", "tables", "MB", "MB spilled"
    );
    let line = |name: &str, median: &Median| {
        println!(
            "{:>8} {:>9.2} {:>14.2} {:>12.0} {:>7} {:>9.0} {:>11.0}",
            name,
            median.seconds,
            median.cpu_seconds,
            median.last.peak_memory_bytes.map_or(f64::NAN, mebibytes),
            median.last.tables,
            megabytes(median.last.file_bytes),
            megabytes(median.last.spilled_bytes)
        );
    };
    line("floor", &it.floor);
    line("load", &it.load);
    println!("the load takes {:.2} floors, {:.2} of processor time", it.ratio, it.cpu_ratio);
    if let (Some(rival), Some(ratio), Some(cpu)) = (&it.rival, it.rival_ratio, it.rival_cpu_ratio) {
        line("rival", rival);
        println!("the rival takes {ratio:.2} loads, {cpu:.2} of processor time");
    }
}

fn identical(
    records: u64,
    budgets: &[usize],
    threads: &[usize],
    dir: Option<&Path>,
) -> Result<(), Error> {
    let work = work_dir(dir)?;
    let input = Input::generate(&work.path().join("input"), records)?;
    let mut first = None;
    for &budget in budgets {
        for &threads in threads {
            let dir = work.path().join("out");
            let load = LoadArgs { records, budget, threads, dir: None };
            let cost = run_once(&load, &input.path, &dir, Work::Load)?;
            let sums = load::checksums(&dir)?;
            fs::remove_dir_all(&dir)?;
            println!(
                "budget {budget} MiB, threads {threads}: peak memory {:.0} MiB, spilled {:.0} MB",
                cost.peak_memory.map_or(f64::NAN, mebibytes),
                megabytes(cost.spilled_bytes)
            );
            for (name, sum) in &sums {
                println!("  {sum}  {name}");
            }
            if *first.get_or_insert_with(|| sums.clone()) != sums {
                return Err("the files differ".into());
            }
        }
    }
    println!("all files are the same, byte for byte");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
