//! Memory of each contender, measured in its own process: memory that one contender has freed must
//! not hide the allocations of the next.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lookups::small_cache;
use super::{ContenderRun, RunOptions};
use crate::store::{BenchError, Contender};
use crate::workload::Data;

/// The output of such a process: the memory for building and for reading, in bytes.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Memory {
    build: Option<u64>,
    read: Option<u64>,
}

/// The argument that makes this program measure the memory of one contender and exit.
pub(crate) const ARGUMENT: &str = "--memory-of";

/// Starts one process per contender. Where memory cannot be measured, no figure is set.
pub(super) fn measure(data: &Data, runs: &mut [ContenderRun<'_>], options: RunOptions) {
    let Ok(program) = std::env::current_exe() else { return };
    for run in runs.iter_mut().filter(|run| run.is_ok()) {
        let mut command = Command::new(&program);
        command.args([ARGUMENT, run.contender.name(), "--workload", &data.name]);
        // With these settings glibc returns freed memory to the system at once. Otherwise the
        // reader would reuse memory that building has freed, and its own need would not be visible.
        command.envs([
            ("MALLOC_TRIM_THRESHOLD_", "0"),
            ("MALLOC_MMAP_THRESHOLD_", "65536"),
            ("MALLOC_ARENA_MAX", "1"),
        ]);
        if options.quick {
            command.arg("--quick");
        }
        let memory = output_in_time(&mut command);
        let memory = memory.and_then(|output| serde_json::from_slice(&output).ok());
        let Memory { build, read } = memory.unwrap_or_default();
        run.outcome.build_memory = build.filter(|_| run.contender.is_built());
        run.outcome.read_memory = read;
    }
}

/// Time limit for one contender; beyond it there is no figure for its memory.
const LIMIT: Duration = Duration::from_secs(180);

/// Returns the output of a program, at most one line, if the program succeeds within the limit.
/// After the limit the program is killed.
fn output_in_time(command: &mut Command) -> Option<Vec<u8>> {
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if start.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(20)),
            None => {
                drop(child.kill());
                break child.wait().ok()?;
            }
        }
    };
    let mut output = Vec::new();
    child.stdout.take()?.read_to_end(&mut output).ok()?;
    status.success().then_some(output)
}

/// Builds the store, looks up every key, and returns the memory that both needed as JSON.
///
/// # Errors
///
/// The error of the contender.
pub(crate) fn measure_here(data: &Data, contender: &dyn Contender) -> Result<String, BenchError> {
    let dir = tempfile::tempdir()?;
    data.sort_by_key();
    reset_peak();
    let before = status("VmRSS:");
    contender.build(data, dir.path())?;
    let peak = status("VmHWM:");
    let build = peak.zip(before).map(|(peak, before)| peak.saturating_sub(before));
    contender.publish(data, dir.path())?;
    let before = status("RssAnon:");
    let store = contender.open(data, dir.path(), small_cache(data))?;
    store.get(data.keys())?;
    let after = status("RssAnon:");
    let read = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(serde_json::to_string(&Memory { build, read })?)
}

/// Resets the peak of resident memory that Linux records for this process.
fn reset_peak() {
    // If that is not possible, the peak is the one from creating the data, and the memory for
    // building may be reported as zero.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// Returns a field of `/proc/self/status` in bytes.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
