//! Processes that share a directory: real `sst` commands whose system calls fail or lie, that are
//! killed, that lose their lock, that meet special files, and readers whose directory is swapped,
//! restored or rebuilt under them.
//!
//! The commands are those of `sst`: this program runs them when its first argument is `COMMAND`.

#[cfg(unix)]
mod command;
#[cfg(unix)]
mod readers;
#[cfg(unix)]
mod special_files;
#[cfg(unix)]
mod system_calls;
#[cfg(unix)]
mod truncated;
#[cfg(unix)]
mod writers;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::{Context, Row, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "processes",
    about: "commands of sst whose system calls fail, which are killed or meet what others did",
    run,
};

/// First argument of a child process that is to be `sst`.
const COMMAND: &str = "sst-command";
/// First argument of a child process that reads a directory and follows its commits.
const READER: &str = "sst-reader-child";

/// The work of a child process of this suite; `None` if this process is not one.
#[cfg(unix)]
#[must_use]
pub fn child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    match first.to_str()? {
        COMMAND => {
            let arguments = [OsString::from("sst")].into_iter().chain(arguments);
            Some(sst_cli::run(arguments).into())
        }
        READER => Some(readers::follow(&arguments.collect::<Vec<_>>())),
        _ => None,
    }
}

/// Whether this machine has `strace`, without which the suite injects no faults into system calls.
#[must_use]
pub fn has_strace() -> bool {
    let ended = std::process::Command::new("strace").arg("-V").output();
    ended.is_ok_and(|ended| ended.status.success())
}

/// Elsewhere there are no such processes.
#[cfg(not(unix))]
#[must_use]
pub const fn child() -> Option<ExitCode> {
    None
}

#[cfg(not(unix))]
fn run(_: &Context) -> Vec<Row> {
    let reason = "signals, links and pipes are those of Unix";
    vec![Row::skipped("all of them", Protection::Protected, reason)]
}

#[cfg(unix)]
fn run(context: &Context) -> Vec<Row> {
    let mut rows = system_calls::run(context);
    rows.extend(special_files::run(context));
    rows.extend(writers::run(context));
    rows.extend(readers::run(context));
    rows.extend(truncated::run(context));
    rows
}
