//! The command line that both programs share: `sst-bench` here, and the program with the rivals.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Parser;

use crate::contenders::{ours, real_data};
use crate::report::{Conditions, Report};
use crate::run::{Run, RunOptions, measure_here, run_workload};
use crate::store::{BenchError, Contender};
use crate::workload::{Data, WORKLOADS};

/// Measures our store, other stores and the physical floor with the same data, in turn within each
/// round.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Workloads to run, of a, b, c, d, e, f. `cargo xtask bench` also knows g, h, i, j, t and w.
    #[arg(long, default_value = "a,b,c,d,f", value_delimiter = ',')]
    workload: Vec<String>,
    /// Names of the contenders to run; all if none is given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Number of rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Use a tenth of the entries and don't measure memory, to check that everything works.
    #[arg(long)]
    quick: bool,
    /// Don't measure memory, which needs one process per contender.
    #[arg(long)]
    no_memory: bool,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    /// Also write report.md, report.html, report.json and the plots to this directory.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write the tables to this Markdown file, between its marks.
    #[arg(long, requires = "out")]
    document: Option<PathBuf>,
    /// Render this report.json again instead of measuring.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Open the report with the pictures of this file, which `cargo xtask conditions --json` wrote.
    #[arg(long, value_name = "FILE")]
    conditions: Option<PathBuf>,
    /// Measure the memory of one contender with one workload, print it as JSON, and exit.
    #[arg(long, hide = true)]
    memory_of: Option<String>,
}

/// The other stores, and the reasons why some of them are not available.
#[derive(Default)]
pub struct Rivals {
    /// The stores that take part.
    pub contenders: Vec<Box<dyn Contender>>,
    /// The stores that cannot take part, each with the reason.
    pub absent: Vec<String>,
}

/// Runs the command that the arguments describe. `rivals` take part in addition to our store.
///
/// # Errors
///
/// An error if a file cannot be written or the floor cannot be measured. The failure of a contender
/// is no error: the report shows it.
#[expect(clippy::print_stdout, reason = "the report goes to standard output")]
pub fn main(rivals: Rivals) -> Result<(), BenchError> {
    let arguments = Arguments::parse();
    let mut contenders = ours();
    contenders.extend(rivals.contenders);
    if let Some(name) = &arguments.memory_of {
        println!("{}", memory_of(&arguments, &contenders, name)?);
        return Ok(());
    }
    if !arguments.only.is_empty() {
        contenders.retain(|contender| arguments.only.iter().any(|name| name == contender.name()));
    }
    let run = match &arguments.from {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => measure(&arguments, &contenders, rivals.absent)?,
    };
    let conditions = arguments.conditions.as_deref().map(Conditions::read).transpose()?;
    let report = Report::new(run, conditions.as_ref());
    if let Some(out) = &arguments.out {
        report.write(out)?;
        if let Some(document) = &arguments.document {
            report.write_into(document, out)?;
        }
    }
    println!("{}", if arguments.json { report.json()? } else { report.markdown("") });
    Ok(())
}

fn measure(
    arguments: &Arguments,
    contenders: &[Box<dyn Contender>],
    absent: Vec<String>,
) -> Result<Run, BenchError> {
    let options = RunOptions {
        rounds: arguments.rounds.max(1),
        quick: arguments.quick,
        memory: !arguments.no_memory && !arguments.quick,
    };
    let mut run = Run {
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        machine: machine(),
        arguments: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        rounds: options.rounds,
        busyness: 0.0,
        absent,
        workloads: Vec::new(),
    };
    for make in lazy_data(arguments)? {
        let data = make();
        let mut report_progress = |what: &str| eprintln!("({}) {}: {what}", data.name, data.about);
        let (outcome, busyness) = run_workload(&data, contenders, options, &mut report_progress)?;
        run.busyness = run.busyness.max(busyness);
        run.workloads.push(outcome);
    }
    Ok(run)
}

/// A function that creates the entries of one workload. It is called when their turn comes, so that
/// the entries of all workloads need not be in memory at once.
type LazyData = Box<dyn FnOnce() -> Data>;

fn lazy_data(arguments: &Arguments) -> Result<Vec<LazyData>, BenchError> {
    let is_wanted = |name: &str| {
        arguments
            .workload
            .iter()
            .any(|wanted| name == wanted || name.starts_with(&format!("{wanted}:")))
    };
    let mut lazy_data: Vec<LazyData> = Vec::new();
    for workload in WORKLOADS.into_iter().filter(|workload| is_wanted(workload.name)) {
        let workload = if arguments.quick { workload.quick() } else { workload };
        lazy_data.push(Box::new(move || Data::new(workload)));
    }
    for data in real_data()?.into_iter().filter(|data| is_wanted(&data.name)) {
        lazy_data.push(Box::new(move || data));
    }
    Ok(lazy_data)
}

fn memory_of(
    arguments: &Arguments,
    contenders: &[Box<dyn Contender>],
    name: &str,
) -> Result<String, BenchError> {
    let data = lazy_data(arguments)?.pop().ok_or("no such workload")?();
    let contender =
        contenders.iter().find(|contender| contender.name() == name && contender.supports(&data));
    measure_here(&data, contender.ok_or("no such contender")?.as_ref())
}

/// Describes the machine: number of cores, architecture and operating system. The host name is not
/// part of it.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores}-core {}, {}", std::env::consts::ARCH, std::env::consts::OS)
}
