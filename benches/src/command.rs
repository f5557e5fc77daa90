//! The command that both programs share: `sst-bench` here, and the one with the rivals.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Parser;

use crate::contenders::{ours, real_data};
use crate::report::Report;
use crate::run::{Run, RunOptions, measure_here, run_workload};
use crate::store::{BenchError, Contender};
use crate::workload::{Data, WORKLOADS};

/// Measures ours, other stores and the physical floor with the same data, in turn within each
/// round.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Workloads to run, of a, b, c, d, e, f.
    #[arg(long, default_value = "a,b,c,d,f", value_delimiter = ',')]
    workload: Vec<String>,
    /// Contenders to run, by name; all if none is given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A tenth of the entries and no memory: to see whether everything works, not to measure.
    #[arg(long)]
    quick: bool,
    /// Leave memory out, which needs a process for each contender.
    #[arg(long)]
    no_memory: bool,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    /// Write report.md, report.html, report.json and the plots into this directory as well.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Put the tables between the marks of this Markdown file as well.
    #[arg(long, requires = "out")]
    document: Option<PathBuf>,
    /// Render this report.json once more instead of measuring.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Measure the memory of one contender with one workload, print it as JSON, and end.
    #[arg(long, hide = true)]
    memory_of: Option<String>,
}

/// Other stores, and those that are not available, with the reason.
#[derive(Default)]
pub struct Rivals {
    /// The stores that take part.
    pub contenders: Vec<Box<dyn Contender>>,
    /// The stores that do not, and why.
    pub absent: Vec<String>,
}

/// Does what the arguments say. `rivals` take part beside ours.
///
/// # Errors
///
/// If files cannot be written or the machine refuses; a contender that fails has that in the report
/// instead.
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
    let report = Report::new(run);
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
    for make in makers(arguments)? {
        let data = make();
        let mut say = |what: &str| eprintln!("({}) {}: {what}", data.name, data.about);
        let (outcome, busyness) = run_workload(&data, contenders, options, &mut say)?;
        run.busyness = run.busyness.max(busyness);
        run.workloads.push(outcome);
    }
    Ok(run)
}

/// Makes the entries of one workload, when their turn comes: not all of them need to be in memory
/// at once.
type Maker = Box<dyn FnOnce() -> Data>;

fn makers(arguments: &Arguments) -> Result<Vec<Maker>, BenchError> {
    let is_wanted = |name: &str| {
        arguments
            .workload
            .iter()
            .any(|wanted| name == wanted || name.starts_with(&format!("{wanted}:")))
    };
    let mut makers: Vec<Maker> = Vec::new();
    for workload in WORKLOADS.into_iter().filter(|workload| is_wanted(workload.name)) {
        let workload = if arguments.quick { workload.quick() } else { workload };
        makers.push(Box::new(move || Data::new(workload)));
    }
    for data in real_data()?.into_iter().filter(|data| is_wanted(&data.name)) {
        makers.push(Box::new(move || data));
    }
    Ok(makers)
}

fn memory_of(
    arguments: &Arguments,
    contenders: &[Box<dyn Contender>],
    name: &str,
) -> Result<String, BenchError> {
    let data = makers(arguments)?.pop().ok_or("no such workload")?();
    let contender =
        contenders.iter().find(|contender| contender.name() == name && contender.takes(&data));
    measure_here(&data, contender.ok_or("no such contender")?.as_ref())
}

/// The machine in words: cores and kind, no name of its own.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores}-core {}, {}", std::env::consts::ARCH, std::env::consts::OS)
}
