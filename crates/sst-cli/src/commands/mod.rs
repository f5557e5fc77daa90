//! The commands. Each returns its exit code, or the error that stopped it.

mod bucket;
pub(crate) mod certificate;
pub(crate) mod certify_arg;
pub(crate) mod diff;
pub(crate) mod gather;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod inputs;
pub(crate) mod inspect;
mod interrupt;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod merge;
mod mirror_args;
pub(crate) mod mode_arg;
pub(crate) mod pull;
pub(crate) mod push;
mod replaced;
pub(crate) mod retention_args;
pub(crate) mod rollback;
pub(crate) mod sample;
pub(crate) mod scan;
pub(crate) mod split;
pub(crate) mod table_args;
mod target;
pub(crate) mod verify;

use std::io::{self, Write as _};

use serde::Serialize;

use crate::error::{CliError, with_causes};
use crate::escape::one_line;
use crate::exit::Exit;
use crate::output::{JSON_SCHEMA, Versioned};
use crate::progress::ProgressMode;

/// The flags that all commands share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Whether to print JSON.
    json: bool,
    /// Whether to print only the result: no progress, no notes.
    quiet: bool,
    progress: ProgressMode,
}

impl Context {
    /// The context of a command that was given these flags.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, progress: ProgressMode::of(json, quiet) }
    }

    /// Prints a note to standard error, unless `--quiet` is given.
    fn note(self, text: impl std::fmt::Display) {
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => print_json(&Note { note: text.to_string() }),
            (false, false) => print_line(one_line(text)),
        }
    }
}

/// A note, as JSON.
#[derive(Serialize)]
struct Note {
    note: String,
}

/// An error, as JSON.
#[derive(Serialize)]
struct Failure<'a> {
    error: FailureFields<'a>,
}

#[derive(Serialize)]
struct FailureFields<'a> {
    /// The kind of the error: see [`CliError::kind`].
    kind: &'a str,
    message: &'a str,
    exit_code: u8,
}

/// Prints a line to standard error. If that cannot be written, the exit code is all that is left to
/// tell how the command ended; `eprintln` would end the process with another one.
fn print_line(line: impl std::fmt::Display) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line of JSON to standard error.
fn print_json(report: &impl Serialize) {
    let line = serde_json::to_string(&Versioned { schema: JSON_SCHEMA, report });
    // Writing text to memory does not fail.
    print_line(line.unwrap_or_else(|error| error.to_string()));
}

/// Prints an error that stopped the program in JSON: its kind, its text in one line, and the exit
/// code.
fn report_json(kind: &str, message: &str, exit: Exit) {
    print_json(&Failure { error: FailureFields { kind, message, exit_code: exit as u8 } });
}

/// Whether a stream shows colours: a terminal, unless `NO_COLOR` is set.
fn is_coloured(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints the error that stopped a command, in one line.
pub(crate) fn report(error: &CliError, json: bool) {
    report_text(error.kind(), &with_causes(error), error.exit(), json);
}

/// Prints the text of an error that stopped the program, in one line.
pub(crate) fn report_text(kind: &str, text: &str, exit: Exit, json: bool) {
    if json {
        return report_json(kind, text, exit);
    }
    use anstyle::{AnsiColor, Effects, Style};
    let style = match is_coloured(&io::stderr()) {
        false => Style::new(),
        true => AnsiColor::Red.on_default().effects(Effects::BOLD),
    };
    print_line(format_args!("{style}error:{style:#} {}", one_line(text)));
}
