//! Loads unsorted records under a memory budget: what `cargo xtask bulk` runs.

#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

mod floor;
mod input;
mod load;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};
use sst_benches::Figure;

use crate::input::{Input, RECORD_LEN};
use crate::load::Error;

/// Loads unsorted records under a memory budget.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Loads next to the physical floor, each in a process of its own, in turn; prints times, their ratio and peak memory.
    Compare {
        #[command(flatten)]
        load: LoadArgs,
        /// Rounds; figures are medians over them.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Loads with several budgets and numbers of threads, lists the checksums of the files, and fails if they differ.
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
        /// Where to work; removed afterwards.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Runs once and prints what it took as JSON: what the others start.
    #[command(hide = true)]
    Once {
        #[command(flatten)]
        load: LoadArgs,
        #[arg(long)]
        input: PathBuf,
        /// The floor instead of a load.
        #[arg(long)]
        floor: bool,
    },
}

#[derive(Args, Clone)]
struct LoadArgs {
    /// Number of records, of 116 bytes each.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Memory budget in MiB.
    #[arg(long, default_value_t = 256)]
    budget: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where to work; removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What one run took.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Taken {
    seconds: f64,
    cpu_seconds: f64,
    /// Highest resident memory of the process in bytes, where the system tells.
    peak_memory: Option<u64>,
    tables: u64,
    file_bytes: u64,
    spilled_bytes: u64,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Compare { load, rounds, json } => compare(&load, rounds, json),
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

fn work_dir(dir: Option<&Path>) -> Result<tempfile::TempDir, Error> {
    Ok(match dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    })
}

/// Runs once, in this process.
fn once(load: &LoadArgs, input: PathBuf, floor: bool) -> Result<(), Error> {
    let input = Input { path: input, records: load.records };
    let directory = load.dir.clone().unwrap_or_default();
    let (start, cpu) = (Instant::now(), ProcessTime::now());
    let mut taken = Taken::default();
    if floor {
        fs::create_dir_all(&directory)?;
        floor::run(&input, load.threads as u64, &directory)?;
    } else {
        let summary = load::run(&input, load.budget << 20, load.threads, &directory)?;
        taken.tables = summary.tables;
        taken.file_bytes = summary.file_bytes;
        taken.spilled_bytes = summary.spilled_bytes;
    }
    taken.seconds = start.elapsed().as_secs_f64();
    taken.cpu_seconds = cpu.elapsed().as_secs_f64();
    taken.peak_memory = peak_memory();
    println!("{}", serde_json::to_string(&taken)?);
    Ok(())
}

/// What Linux says of the process.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Runs once, in another process.
fn run_once(load: &LoadArgs, input: &Path, dir: &Path, floor: bool) -> Result<Taken, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("once").arg("--input").arg(input).arg("--dir").arg(dir);
    command.args(["--records", &load.records.to_string()]);
    command.args(["--budget", &load.budget.to_string()]);
    command.args(["--threads", &load.threads.to_string()]);
    if floor {
        command.arg("--floor");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("a run has failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What came out of a comparison.
#[derive(Serialize)]
struct Comparison {
    records: u64,
    input_bytes: u64,
    budget_bytes: u64,
    threads: usize,
    floor_seconds: f64,
    load_seconds: f64,
    ratio: f64,
    floor_cpu_seconds: f64,
    load_cpu_seconds: f64,
    cpu_ratio: f64,
    peak_memory_bytes: Option<u64>,
    tables: u64,
    file_bytes: u64,
    spilled_bytes: u64,
}

fn compare(load: &LoadArgs, rounds: usize, json: bool) -> Result<(), Error> {
    let work = work_dir(load.dir.as_deref())?;
    let input = Input::generate(&work.path().join("input"), load.records)?;
    let mut figures: [Figure; 6] = Default::default();
    let (mut peak, mut last) = (None, Taken::default());
    for _ in 0..rounds {
        let [floor, loaded] = [true, false].map(|floor| {
            let dir = work.path().join("out");
            let taken = run_once(load, &input.path, &dir, floor);
            fs::remove_dir_all(&dir).map_err(Error::from).and(taken)
        });
        let (floor, loaded) = (floor?, loaded?);
        let values = [
            floor.seconds,
            loaded.seconds,
            loaded.seconds / floor.seconds,
            floor.cpu_seconds,
            loaded.cpu_seconds,
            loaded.cpu_seconds / floor.cpu_seconds,
        ];
        figures.iter_mut().zip(values).for_each(|(figure, value)| figure.push(value));
        peak = peak.max(loaded.peak_memory);
        last = loaded;
    }
    let [floor_seconds, load_seconds, ratio, floor_cpu_seconds, load_cpu_seconds, cpu_ratio] =
        figures.map(|figure| figure.median().unwrap_or_default());
    let comparison = Comparison {
        records: load.records,
        input_bytes: load.records * RECORD_LEN as u64,
        budget_bytes: (load.budget as u64) << 20,
        threads: load.threads,
        floor_seconds,
        load_seconds,
        ratio,
        floor_cpu_seconds,
        load_cpu_seconds,
        cpu_ratio,
        peak_memory_bytes: peak,
        tables: last.tables,
        file_bytes: last.file_bytes,
        spilled_bytes: last.spilled_bytes,
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
    println!("{:>24} {:>9} {:>9} {:>9}", "", "floor", "load", "ratio");
    println!(
        "{:>24} {:>9.2} {:>9.2} {:>9.2}",
        "seconds", it.floor_seconds, it.load_seconds, it.ratio
    );
    println!(
        "{:>24} {:>9.2} {:>9.2} {:>9.2}",
        "processor seconds", it.floor_cpu_seconds, it.load_cpu_seconds, it.cpu_ratio
    );
    if let Some(peak) = it.peak_memory_bytes {
        println!("peak memory of the process {:.1} MiB", mebibytes(peak));
    }
    println!(
        "{} tables, {:.0} MB; {:.0} MB went through temporary files",
        it.tables,
        megabytes(it.file_bytes),
        megabytes(it.spilled_bytes)
    );
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
            let taken = run_once(&load, &input.path, &dir, false)?;
            let sums = load::checksums(&dir)?;
            fs::remove_dir_all(&dir)?;
            println!(
                "budget {budget} MiB, threads {threads}: peak memory {:.0} MiB, spilled {:.0} MB",
                taken.peak_memory.map_or(f64::NAN, mebibytes),
                megabytes(taken.spilled_bytes)
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
