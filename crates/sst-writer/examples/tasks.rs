//! One commit from tables that several processes write at once, without a lock:
//! `cargo run -p sst-writer --example tasks DIRECTORY COUNT TASKS`.
//!
//! The driver starts itself as `TASKS` tasks. Each writes the keys of one range of hashes into the
//! directory, under numbers that it claims, and prints its report. The driver publishes the reports
//! as one commit.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};

use sst_writer::publish::{FragmentOverlap, JobId, TaskOptions, TaskReport, TaskWriter};
use sst_writer::table::hash_key;
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [directory, count, tasks] => drive(directory, count, tasks.parse()?),
        [directory, count, tasks, index, job] => {
            let report =
                write_range(directory, count.parse()?, tasks.parse()?, index.parse()?, job)?;
            Ok(std::io::stdout().write_all(&report)?)
        }
        _ => Err("usage: tasks DIRECTORY COUNT TASKS".into()),
    }
}

fn drive(directory: &str, count: &str, tasks: u64) -> Result {
    TaskWriter::prepare_directory(directory)?;
    let job = JobId::random();
    let start = |index: u64| {
        let (tasks, index, job) = (tasks.to_string(), index.to_string(), job.0.to_string());
        Command::new(std::env::current_exe()?)
            .args([directory, count, &tasks, &index, &job])
            .stdout(Stdio::piped())
            .spawn()
    };
    let started: Vec<_> = (0..tasks).map(start).collect::<std::io::Result<_>>()?;
    let mut reports = Vec::new();
    for task in started {
        let output = task.wait_with_output()?;
        if output.status.success() {
            reports.push(TaskReport::from_bytes(&output.stdout)?);
        }
    }
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    if reports.len() as u64 == tasks {
        let mut commit = publisher.begin();
        commit.replace_all();
        for report in &reports {
            commit.add_task(report, FragmentOverlap::Refuse)?;
        }
        let info = commit.publish(&Monitor::default())?;
        let tables = publisher.live_tables().count();
        writeln!(std::io::stdout(), "commit {} of {tables} tables", info.commit)?;
    } else {
        writeln!(std::io::stderr(), "a task has failed: the directory is as it was")?;
    }
    publisher.end_job(job)?;
    Ok(())
}

/// Writes those of `count` keys whose hashes are in range `index` of `tasks`.
fn write_range(directory: &str, count: u64, tasks: u64, index: u64, job: &str) -> Result<Vec<u8>> {
    let range = |hash: u64| (u128::from(hash) * u128::from(tasks)) >> 64;
    let rows = (0..count).map(|i| format!("key {i}"));
    let rows = rows.map(|key| (hash_key(key.as_bytes()), key));
    let mut rows: Vec<_> = rows.filter(|(hash, _)| range(*hash) == u128::from(index)).collect();
    rows.sort_unstable();
    let mut task = TaskWriter::open(directory, TaskOptions::new(JobId(job.parse()?)))?;
    if !rows.is_empty() {
        let mut table = task.create_table(WriterOptions::default())?;
        for (_, key) in &rows {
            table.add((key.as_str(), "value"))?;
        }
        task.add_table(table.finish()?)?;
    }
    Ok(task.finish()?.to_bytes()?)
}
