//! Memory, measured in a process of its own for each contender: what one leaves behind must not
//! hide what the next needs.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lookups::small_cache;
use super::{Entrant, RunOptions};
use crate::store::{BenchError, Contender};
use crate::workload::Data;

/// The output of such a process.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Memory {
    build: Option<u64>,
    read: Option<u64>,
}

/// The argument that makes this program measure one contender's memory and end.
pub(crate) const ARGUMENT: &str = "--memory-of";

/// Starts a process for each contender. Where memory cannot be measured nothing is set.
pub(super) fn measure(data: &Data, entrants: &mut [Entrant<'_>], options: RunOptions) {
    let Ok(program) = std::env::current_exe() else { return };
    for entrant in entrants.iter_mut().filter(|entrant| entrant.is_fine()) {
        let mut command = Command::new(&program);
        command.args([ARGUMENT, entrant.contender.name(), "--workload", &data.name]);
        // glibc then gives freed memory back at once, so that what building freed is not reused
        // unseen.
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
        entrant.outcome.build_memory = build.filter(|_| entrant.contender.is_built());
        entrant.outcome.read_memory = read;
    }
}

/// A store that takes longer than this has no figure for its memory.
const LIMIT: Duration = Duration::from_secs(180);

/// The output of a program, at most a line, if it succeeds within the limit; otherwise the program
/// is ended.
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

/// Builds, looks every key up, and returns as JSON what memory that took.
///
/// # Errors
///
/// Whatever the contender reports.
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

/// Makes Linux forget the highest memory so far.
fn reset_peak() {
    // Where that is not possible the peak is that of making the data, and building shows as
    // nothing.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// A line of Linux's account of this process, in bytes.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
