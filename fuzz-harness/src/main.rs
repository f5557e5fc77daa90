//! Drives fuzz targets on the stable compiler. `cargo xtask fuzz` runs this and libFuzzer.

#![expect(clippy::print_stdout, reason = "a command line program")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use sst_fuzz_harness::{Budget, TARGETS, Target, corpus, drive, from_vectors};

/// Drives fuzz targets with their corpora and random edits of them. Prints one JSON object for each
/// target.
#[derive(Parser)]
struct Arguments {
    /// Root folder of the workspace.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Drive only this target.
    #[arg(long)]
    target: Option<String>,
    /// Highest number of inputs for each target.
    #[arg(long, default_value_t = 20_000)]
    executions: u64,
    /// Highest number of seconds for each target.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Seed of the random edits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only list the targets with their highest input lengths.
    #[arg(long)]
    list: bool,
    /// Only write the inputs made from the vectors, one subfolder for each target, for another
    /// driver.
    #[arg(long, value_name = "FOLDER")]
    write_seeds: Option<PathBuf>,
    /// Only run the target on this file.
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
}

type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, AnyError> {
    let chosen: Vec<Target> = match &arguments.target {
        Some(name) => vec![Target::named(name).ok_or_else(|| format!("no target {name}"))?],
        None => TARGETS.to_vec(),
    };
    if let Some(file) = &arguments.replay {
        let input = std::fs::read(file)?;
        chosen.iter().for_each(|target| (target.run)(&input));
        return Ok(true);
    }
    if !arguments.list && arguments.write_seeds.is_none() {
        print_first_panic_only();
    }
    let mut is_ok = true;
    for target in &chosen {
        if arguments.list {
            println!("{}", json!({ "target": target.name, "max_len": target.max_len }));
        } else if let Some(folder) = &arguments.write_seeds {
            write_seeds(arguments, target, &folder.join(target.name))?;
        } else {
            is_ok &= drive_one(arguments, target)?;
        }
    }
    Ok(is_ok)
}

/// Prints only the first panic: simplifying an input repeats the panic with similar messages.
fn print_first_panic_only() {
    let default = std::panic::take_hook();
    let has_printed = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| {
        if !has_printed.swap(true, Ordering::Relaxed) {
            default(info);
        }
    }));
}

fn write_seeds(arguments: &Arguments, target: &Target, folder: &PathBuf) -> Result<(), AnyError> {
    std::fs::create_dir_all(folder)?;
    for (i, input) in from_vectors(&arguments.root, target)?.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i:04}")), input)?;
    }
    Ok(())
}

fn drive_one(arguments: &Arguments, target: &Target) -> Result<bool, AnyError> {
    let corpus = corpus(&arguments.root, target)?;
    if corpus.is_empty() {
        return Err(format!("no inputs to start from for {}", target.name).into());
    }
    let time = Duration::from_secs(arguments.seconds);
    let budget = Budget { executions: arguments.executions, time };
    let report = drive(target, &corpus, budget, arguments.seed)?;
    let artifact = match &report.failure {
        None => None,
        Some(input) => {
            let folder = arguments.root.join("fuzz/artifacts").join(target.name);
            std::fs::create_dir_all(&folder)?;
            let path = folder.join(format!("crash-{:08x}", crc32fast::hash(input)));
            std::fs::write(&path, input)?;
            Some(path)
        }
    };
    println!(
        "{}",
        json!({
            "target": target.name,
            "corpus": corpus.len(),
            "executions": report.executions,
            "artifact": artifact,
        })
    );
    Ok(report.failure.is_none())
}
