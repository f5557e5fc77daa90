//! `cargo xtask fuzz`: runs every target in two drivers and counts the inputs.
//!
//! The driver of `fuzz-harness` runs on any machine: it tries the corpus and random edits of it.
//! libFuzzer is guided by coverage and needs a nightly compiler and cargo-fuzz. If they are
//! missing, the table says so.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// Run only this target.
    #[arg(long)]
    target: Option<String>,
    /// Highest number of inputs for each target and driver.
    #[arg(long, default_value_t = 20_000)]
    executions: u64,
    /// Highest number of seconds for each target and driver.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the random edits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The sanitizer of libFuzzer's targets: `none` is fastest, `address` detects memory errors.
    #[arg(long, default_value = "none")]
    sanitizer: String,
    /// Do not run libFuzzer.
    #[arg(long)]
    stable_only: bool,
}

/// A line of output of the driver in `fuzz-harness`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line<T> {
    Reported(T),
    Failed { error: String },
}

/// A target in the driver's list.
#[derive(Debug, Deserialize)]
struct Listed {
    target: String,
    max_len: usize,
}

/// The result of driving a target.
#[derive(Debug, Deserialize)]
struct Driven {
    target: String,
    executions: u64,
    artifact: Option<String>,
}

/// One line of the table.
struct Row {
    target: String,
    driver: &'static str,
    /// Number of inputs tried, or the reason why none were.
    outcome: Result<u64, String>,
    crash: Option<String>,
}

const RANDOM: &str = "random";
const LIBFUZZER: &str = "libFuzzer";

/// Runs both drivers and prints the table. False if a target panicked or a driver failed.
pub(crate) fn run(root: &Path, arguments: &FuzzArguments) -> bool {
    match rows(root, arguments) {
        Ok(rows) => print(&rows),
        Err(error) => {
            println!("{error}");
            false
        }
    }
}

fn rows(root: &Path, arguments: &FuzzArguments) -> Result<Vec<Row>, String> {
    let targets: Vec<Listed> = harness(root, arguments, &["--list"])?;
    let (executions, seconds) = (arguments.executions.to_string(), arguments.seconds.to_string());
    let seed = arguments.seed.to_string();
    let budget = ["--executions", &executions, "--seconds", &seconds, "--seed", &seed];
    let driven: Vec<Driven> = harness(root, arguments, &budget)?;
    if !targets.iter().map(|listed| &listed.target).eq(driven.iter().map(|driven| &driven.target)) {
        return Err("the driver left a target out".to_owned());
    }
    let mut rows: Vec<Row> = driven
        .into_iter()
        .map(|Driven { target, executions, artifact }| Row {
            target,
            driver: RANDOM,
            outcome: Ok(executions),
            crash: artifact,
        })
        .collect();
    match arguments.stable_only {
        true => rows.push(not_run("skipped: --stable-only")),
        false => match missing_tool() {
            Some(reason) => rows.push(not_run(reason)),
            None => {
                // This command prints only errors.
                let _: Vec<Listed> =
                    harness(root, arguments, &["--write-seeds", "fuzz/target/seeds"])?;
                for target in targets {
                    rows.push(libfuzzer(root, arguments, &target)?);
                }
            }
        },
    }
    Ok(rows)
}

fn not_run(reason: &str) -> Row {
    Row {
        target: "all".to_owned(),
        driver: LIBFUZZER,
        outcome: Err(format!("not run: {reason}")),
        crash: None,
    }
}

/// The reason why libFuzzer cannot run here; `None` if it can.
fn missing_tool() -> Option<&'static str> {
    let works = |arguments: &[&str]| {
        Command::new("cargo")
            .args(arguments)
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let has_nightly = works(&["+nightly", "--version"]);
    let has_cargo_fuzz = has_nightly && works(&["+nightly", "fuzz", "--version"]);
    (!has_cargo_fuzz).then_some("needs a nightly compiler and cargo-fuzz")
}

/// Runs the driver in `fuzz-harness`. Returns the lines that it prints.
fn harness<T: DeserializeOwned>(
    root: &Path,
    arguments: &FuzzArguments,
    more: &[&str],
) -> Result<Vec<T>, String> {
    let mut command = crate::cargo();
    command.args(["run", "--quiet", "--release", "--package", "sst-fuzz-harness", "--"]).args(more);
    if let Some(target) = &arguments.target {
        command.args(["--target", target]);
    }
    let output = command
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let reported = text
        .lines()
        .map(|line| match serde_json::from_str(line) {
            Ok(Line::Reported(reported)) => Ok(reported),
            Ok(Line::Failed { error }) => Err(error),
            Err(error) => Err(format!("{error}: {line}")),
        })
        .collect::<Result<_, _>>()?;
    // The exit code 1 means that a target panicked, which its line reports.
    match output.status.code() {
        Some(0 | 1) => Ok(reported),
        _ => Err(format!("the driver ended with {}", output.status)),
    }
}

/// Runs one target in libFuzzer. It starts with the committed corpus, the seeds, and the inputs
/// that earlier runs on this machine have found.
fn libfuzzer(root: &Path, arguments: &FuzzArguments, listed: &Listed) -> Result<Row, String> {
    let target = listed.target.clone();
    let folder = |parent: &str| root.join("fuzz").join(parent).join(&target);
    let (found, committed, seeds) =
        (folder("target/found"), folder("corpus"), folder("target/seeds"));
    for folder in [&found, &committed] {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let output = Command::new("cargo")
        .args(["+nightly", "fuzz", "run", "--sanitizer", &arguments.sanitizer, &target])
        .args([&found, &committed, &seeds])
        .arg("--")
        .arg(format!("-runs={}", arguments.executions))
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg(format!("-max_len={}", listed.max_len))
        .args(["-print_final_stats=1", "-timeout=25", "-malloc_limit_mb=512"])
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .current_dir(root)
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run cargo fuzz: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let after = |label: &str| {
        text.lines().rev().find_map(|line| line.split_once(label).map(|(_, rest)| rest.trim()))
    };
    let count = after("stat::number_of_executed_units:").and_then(|count| count.parse().ok());
    let crash = after("Test unit written to").map(str::to_owned);
    let outcome = match (count, output.status.success() || crash.is_some()) {
        (Some(count), true) => Ok(count),
        _ => Err(format!("FAILED: {}", text.lines().last().unwrap_or("no output"))),
    };
    Ok(Row { target, driver: LIBFUZZER, outcome, crash })
}

fn print(rows: &[Row]) -> bool {
    println!("{:14}  {:9}  {:>12}  verdict", "target", "driver", "executions");
    let mut is_ok = true;
    for row in rows {
        let (count, verdict) = match (&row.outcome, &row.crash) {
            (Ok(0), None) => (0, "FAILED: no input was tried".to_owned()),
            (Ok(count), None) => (*count, "ok".to_owned()),
            (Ok(count), Some(artifact)) => (*count, format!("CRASH, see {artifact}")),
            (Err(reason), _) => (0, reason.clone()),
        };
        is_ok &= row.crash.is_none() && !verdict.starts_with("FAILED");
        println!("{:14}  {:9}  {count:>12}  {verdict}", row.target, row.driver);
    }
    for driver in [RANDOM, LIBFUZZER] {
        let counts = rows.iter().filter(|row| row.driver == driver);
        let total: u64 = counts.filter_map(|row| row.outcome.as_ref().ok()).sum();
        println!("{:14}  {driver:9}  {total:>12}", "all");
    }
    is_ok
}
