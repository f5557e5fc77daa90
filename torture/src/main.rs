//! Runs the suites and prints the table of results. `cargo xtask torture` starts it.

#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sst_torture::{Context, Mode, Report, Suite, keep_panic_messages, suites};

/// The test program for damage, faults and hostile input. By default a quick run. A run ends with a
/// table; the exit code is 1 if a promise was broken.
#[derive(Parser)]
#[command(name = "cargo xtask torture", version)]
struct Arguments {
    /// Run all cases, not only a sample of each kind.
    #[arg(long)]
    full: bool,
    /// Run only a few cases of each row, which takes seconds.
    #[arg(long, conflicts_with = "full")]
    brief: bool,
    /// Run only the suites whose name contains this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// List the suites and exit.
    #[arg(long)]
    list: bool,
    /// Print the table as JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table in the form used in docs/RELIABILITY.md.
    #[arg(long)]
    markdown: bool,
    /// Seed of the random cases. The same seed gives the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stop after the first failed case.
    #[arg(long)]
    first_failure: bool,
    /// Threads that run cases [default: one per core].
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    if let Some(code) = sst_torture::cargo::compiler()
        .or_else(suites::crashes::child)
        .or_else(suites::merge_kills::child)
        .or_else(suites::publish_kills::child)
        .or_else(suites::mirror_kills::child)
        .or_else(suites::bulk_kills::child)
        .or_else(suites::processes::child)
    {
        return code;
    }
    let arguments = Arguments::parse();
    let is_selected = |suite: &&&Suite| {
        arguments.only.as_ref().is_none_or(|only| suite.name.contains(only.as_str()))
    };
    let selected: Vec<&Suite> = suites::ALL.iter().filter(is_selected).copied().collect();
    if arguments.list {
        for suite in &selected {
            println!("{}: {}", suite.name, suite.about);
        }
    }
    if selected.is_empty() {
        println!("no suite has this in its name; --list names them");
        return ExitCode::from(3);
    }
    if arguments.list { ExitCode::SUCCESS } else { run(&arguments, &selected) }
}

fn run(arguments: &Arguments, selected: &[&Suite]) -> ExitCode {
    let start = Instant::now();
    keep_panic_messages();
    let (mode, mode_name) = match (arguments.full, arguments.brief) {
        (true, _) => (Mode::Full, "full"),
        (false, true) => (Mode::Brief, "brief"),
        (false, false) => (Mode::Quick, "quick"),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores).max(1);
    let is_text = !arguments.json && !arguments.markdown;
    let mut rows = Vec::new();
    for suite in selected {
        let suite_start = Instant::now();
        let progress = bar(suite.name);
        let context = Context::new(mode, arguments.seed, threads, progress.clone())
            .stopping_at_failure(arguments.first_failure);
        let new = suite.rows(&context);
        progress.finish_and_clear();
        if is_text {
            // The table is printed at the end; until then, print one line after each suite.
            let cases: u64 = new.iter().map(|row| row.cases).sum();
            let seconds = suite_start.elapsed().as_secs_f64();
            println!("{} … {cases} cases, {seconds:.1} s", suite.name);
        }
        rows.extend(new);
    }
    let report = Report::new(rows, mode_name, arguments.seed, start.elapsed());
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("cannot write JSON: {error}"),
        }
    } else if arguments.markdown {
        print!("{}", report.markdown());
    } else {
        println!("\n{}", report.text());
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A progress bar on standard error; hidden if that is not a terminal.
fn bar(name: &'static str) -> ProgressBar {
    let target = match stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let template = "{msg:>24} [{bar:32}] {human_pos} of {human_len} cases, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ");
    let progress = ProgressBar::with_draw_target(Some(0), target).with_style(style);
    progress.set_message(name);
    if stderr().is_terminal() {
        progress.enable_steady_tick(Duration::from_millis(200));
    }
    progress
}
