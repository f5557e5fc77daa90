//! The commands. Each returns its exit code, or the error that stopped it.

pub(crate) mod certificate;
pub(crate) mod certify_arg;
pub(crate) mod diff;
pub(crate) mod gather;
pub(crate) mod get;
pub(crate) mod inputs;
pub(crate) mod inspect;
mod interrupt;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod merge;
pub(crate) mod retention_args;
pub(crate) mod rollback;
pub(crate) mod sample;
pub(crate) mod scan;
pub(crate) mod split;
pub(crate) mod table_args;
mod target;
pub(crate) mod verify;

use std::io;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::ProgressMode;

/// What the flags say that all commands have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Whether to print JSON.
    json: bool,
    /// Whether to print nothing but the result.
    quiet: bool,
    progress: ProgressMode,
}

impl Context {
    /// Tells people something that is no part of the result.
    fn note(self, text: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{}", one_line(text));
        }
    }
}

/// Runs the command that was asked for.
pub(crate) fn run(cli: &Cli) -> Result<Exit, CliError> {
    let context = Context {
        json: cli.json,
        quiet: cli.quiet,
        progress: ProgressMode::of(cli.json, cli.quiet),
    };
    match &cli.command {
        Command::Load(args) => load::run(args, context),
        Command::Get(args) => get::run(args, context),
        Command::Scan(args) => scan::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Certificate(args) => certificate::run(args, context),
        Command::Gather(args) => gather::run(args, context),
        Command::Merge(args) => merge::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Split(args) => split::run(args, context),
        Command::Sample(args) => sample::run(args, context),
        Command::Log(args) => log::run(args, context),
        Command::Rollback(args) => rollback::run(args, context),
        Command::Completions { shell } => completions(*shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sst", &mut script);
    let mut output = Output::stdout();
    output.bytes(&script)?;
    output.finish()?;
    Ok(Exit::Success)
}

/// A text in one line that a terminal can show: names of files and keys may hold control characters.
fn one_line(text: impl std::fmt::Display) -> String {
    let mut line = String::new();
    for character in text.to_string().chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// Says what stopped a command, in one line.
pub(crate) fn report(error: &CliError) {
    use anstyle::{AnsiColor, Effects, Style};
    let is_plain = !io::IsTerminal::is_terminal(&io::stderr())
        || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = match is_plain {
        true => Style::new(),
        false => AnsiColor::Red.on_default().effects(Effects::BOLD),
    };
    eprintln!("{style}error:{style:#} {}", one_line(error));
}
