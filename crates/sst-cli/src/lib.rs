//! The command `sst`, which reads and writes static table (SST) files and directories. See the
//! README for its use.
//!
//! This library contains the whole command, so that fuzz targets can reach its parsers. It is not a
//! public API.

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
    run(std::env::args_os())
}

/// Runs the command with these arguments, of which the first is the name of the program.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = cli::with_aliases(arguments.into_iter().collect());
    let cli = match cli::Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are reported as errors too, but are not failures.
            let exit = if error.use_stderr() { Exit::Failure } else { Exit::Success };
            if exit == Exit::Failure && arguments.iter().any(|argument| argument == "--json") {
                commands::report_json("usage", error.to_string().trim(), exit);
                return exit.into();
            }
            let printed = error.print();
            return if printed.is_ok() { exit.into() } else { Exit::Failure.into() };
        }
    };
    open_files::raise_limit();
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.is_silent() {
                commands::report(&error, cli.json);
            }
            error.exit().into()
        }
    }
}
