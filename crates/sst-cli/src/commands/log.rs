//! `sst log`: lists the generations of a directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_object_store::block_on;
use sst_writer::publish::{CommitKind, CommitRecord, list_commits};

use super::{Context, bucket};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::store::read_catalog;
use crate::text_table::{Align, TextTable};
use crate::url;

const AFTER_HELP: &str = "\
Lists the commits whose meta file is still there. `sst rollback` can go back to those that are
complete; of the others some files were removed since. Each command that writes says how many
generations are kept, with --keep-generations and --grace. A merge makes no generation: it takes
the place of the commit before.

Examples:
  sst log unicode.db
  sst log unicode.db --json | jq '.generations[0].commit'";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LogArgs {
    /// Directory to list, or its URL
    #[arg(value_parser = url::parser())]
    dir: PathBuf,

    /// List only the current generation and those that `sst rollback` can return to
    #[arg(long)]
    complete: bool,
}

#[derive(Serialize)]
struct Log {
    path: String,
    generations: Vec<Line>,
}

/// A generation, for the report and for the page of `sst inspect`.
#[derive(Serialize)]
pub(super) struct Line {
    commit: u32,
    time: Option<String>,
    /// The kind of the commit; `None` if its meta file does not state it.
    kind: Option<&'static str>,
    /// Whether it only merged, which makes no generation.
    merge: bool,
    current: bool,
    complete: bool,
    tables: u64,
    entries: u64,
    bytes: u64,
}

impl Line {
    fn of(generation: &CommitRecord) -> Self {
        Self {
            commit: generation.sequence.0,
            time: generation.time.map(utc),
            kind: generation.kind.map(name_of),
            merge: generation.is_merge(),
            current: generation.is_current,
            complete: generation.is_complete,
            tables: generation.tables,
            entries: generation.entries,
            bytes: generation.bytes,
        }
    }

    fn state(&self) -> String {
        let files = match (self.current, self.complete) {
            (true, true) => "current",
            (true, false) => "current, files are missing",
            (false, true) => "",
            (false, false) => "files removed",
        };
        // `rollback` passes over it.
        let merge = if self.merge { "no generation of its own" } else { "" };
        let parts = [files, merge].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn run(args: &LogArgs, context: Context) -> Result<Exit, CliError> {
    // Gives a better error for a directory that is not ours than `list_commits` would.
    let catalog = read_catalog(&args.dir)?;
    if !catalog.is_protected {
        return Err(CliError::Original(args.dir.clone()));
    }
    let is_shown = |line: &Line| !args.complete || line.complete || line.current;
    let lines: Vec<_> = lines(&args.dir)?.into_iter().filter(is_shown).collect();
    let mut output = Output::stdout();
    if context.json {
        output.report(&Log { path: args.dir.display().to_string(), generations: lines })?;
    } else {
        output.line(table(&lines))?;
    }
    output.finish()?;
    Ok(Exit::Success)
}

/// The generations of a directory of ours, newest first.
pub(super) fn lines(dir: &Path) -> Result<Vec<Line>, CliError> {
    let commits = match url::is_url(dir) {
        true => block_on(sst_object_store::list_commits(&bucket::bucket(dir)?))?,
        false => list_commits(dir)?,
    };
    Ok(commits.iter().map(Line::of).collect())
}

/// The name of a kind of commit.
const fn name_of(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Load => "load",
        CommitKind::Append => "append",
        CommitKind::Merge => "merge",
        CommitKind::Rollback => "rollback",
        // A kind that a later version of this program introduced.
        _ => "other",
    }
}

fn table(lines: &[Line]) -> TextTable {
    let mut table = TextTable::new(&[
        ("generation", Align::Right),
        ("time", Align::Left),
        ("kind", Align::Left),
        ("tables", Align::Right),
        ("entries", Align::Right),
        ("bytes", Align::Right),
        ("", Align::Left),
    ]);
    for line in lines {
        table.row([
            line.commit.to_string(),
            // A blank cell if the file system does not state the time.
            line.time.clone().unwrap_or_default(),
            line.kind.map_or_else(String::new, str::to_owned),
            HumanCount(line.tables).to_string(),
            HumanCount(line.entries).to_string(),
            HumanBytes(line.bytes).to_string(),
            line.state(),
        ]);
    }
    table
}

/// A time since 1970 in the format of RFC 3339, in UTC and whole seconds.
pub(super) fn utc(time: Duration) -> String {
    let seconds = time.as_secs();
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        let shown = |seconds| utc(Duration::from_secs(seconds));
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(shown(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(shown(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
