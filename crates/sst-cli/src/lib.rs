//! The command `sst`, which reads and writes static table (SST) files and directories. See the
//! README for its use.
//!
//! This library contains the whole command: [`run`] is what the wheel for Python calls. The parsers
//! are here so that fuzz targets can reach them; they are not a public API.

#![forbid(unsafe_code)]

mod certificate;
mod cli;
mod commands;
mod end_mark;
mod error;
mod escape;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod notation;
mod open_files;
mod output;
mod progress;
mod regular;
mod size;
mod store;
mod text_table;
mod url;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::exit::Exit;

/// Runs the command with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os()).into()
}

/// Runs the command with these arguments, of which the first is the name of the program, and
/// returns its exit code: 0 to 4, as `sst --help` lists them.
///
/// It reads the standard input of the process and writes to its standard output and error. A
/// command that writes a directory sets handlers for SIGINT and SIGTERM; the second such signal
/// ends the process. So it is meant for programs that are the command under another name.
///
/// # Examples
///
/// ```
/// let code = sst_cli::run(["sst", "--version"].map(Into::into));
/// assert_eq!(code, 0);
/// ```
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    run_command(arguments.into_iter().collect()) as u8
}

fn run_command(arguments: Vec<OsString>) -> Exit {
    let arguments = cli::with_aliases(arguments);
    let cli = match cli::Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are reported as errors too, but are not failures.
            if !error.use_stderr() || is_help(&error) {
                let exit = if error.use_stderr() { Exit::Failure } else { Exit::Success };
                let printed = error.print();
                return if printed.is_ok() { exit } else { Exit::Failure };
            }
            let is_json = arguments.iter().any(|argument| argument == "--json");
            commands::report_text("usage", &usage_error(&error), Exit::Failure, is_json);
            return Exit::Failure;
        }
    };
    open_files::raise_limit();
    match cli.run() {
        Ok(exit) => exit,
        Err(error) => {
            if !error.is_silent() {
                commands::report(&error, cli.json);
            }
            error.exit()
        }
    }
}

/// Whether the error is the help of a command that was called without arguments.
fn is_help(error: &clap::Error) -> bool {
    error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// The text of an error of usage: what is wrong and what to write instead, without the summary of
/// all arguments.
fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let lines: Vec<&str> = lines.collect();
    // A line that ends in a colon introduces the next one.
    let text = lines.join("; ").replace(":; ", ": ");
    text.strip_prefix("error: ").map(str::to_owned).unwrap_or(text)
}
