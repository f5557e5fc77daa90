//! `sst diff`: the differences between two directories or tables.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sst_merge::{Change, Diff, DiffCounts, MergeError, MergedEntry, ValueBytes};

use super::inputs::{DuplicatesArg, open_inputs};
use super::interrupt::entries_monitor;
use super::{Context, is_coloured};
use crate::error::CliError;
use crate::exit::Exit;
use crate::notation::{Bytes, KEY, NEW, Notation, NotationArgs, OLD, serialize_bytes};
use crate::output::Output;
use crate::url;

const AFTER_HELP: &str = "\
One line for each key that differs, in the order of hashes:
  +  key  value            only NEW has it
  -  key  value            only OLD has it
  ~  key  old  new         both have it, with different values
Columns are separated by tabs, bytes escaped as `sst scan` does.

Exit code 0: no difference; 1: there are some.

Examples:
  sst diff monday.db tuesday.db
  sst diff monday.db tuesday.db --summary
  sst diff monday.db tuesday.db --keys-only --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DiffArgs {
    /// Older directory or .sst file, or its URL
    #[arg(value_parser = url::parser())]
    old: PathBuf,

    /// Newer directory or .sst file, or its URL
    #[arg(value_parser = url::parser())]
    new: PathBuf,

    /// Print only the numbers of keys that differ
    #[arg(long)]
    summary: bool,

    /// Print only keys, no values
    #[arg(long)]
    keys_only: bool,

    #[command(flatten)]
    notation: NotationArgs,

    /// Compare all entries of each key, not only the one that `get` finds
    #[arg(long)]
    all: bool,

    /// Key space to compare [default: the only one, or the lowest]
    #[arg(long, value_name = "NUMBER")]
    family: Option<u32>,
}

pub(crate) fn run(args: &DiffArgs, context: Context) -> Result<Exit, CliError> {
    let open = |path: &PathBuf| open_inputs(std::slice::from_ref(path), args.family, context);
    let (old, new) = (open(&args.old)?.inputs, open(&args.new)?.inputs);
    let total = old.entry_count().zip(new.entry_count()).map(|(old, new)| old + new);
    let duplicates = if args.all { DuplicatesArg::Keep } else { DuplicatesArg::Newest };
    let bar = context.progress.entries_if_known(total, "compare");
    let mut diff = Diff::new(&old, &new, 0..=u64::MAX, duplicates.into(), &entries_monitor(&bar))?;
    let mut output = Output::stdout();
    let is_coloured = is_coloured(&std::io::stdout());
    while let Some(found) = diff.next()? {
        if args.summary {
            continue;
        }
        let (change, key) = (found.change, found.key);
        let entries = if args.keys_only { (None, None) } else { (found.old, found.new) };
        let (old, new) = (value_of(entries.0)?, value_of(entries.1)?);
        let line = Line { change, key, old, new, notation: args.notation.of_output() };
        match context.json {
            true => output.json(&line)?,
            false => output.line(line.coloured(is_coloured))?,
        }
    }
    drop(bar);
    let counts = diff.counts();
    match (args.summary, context.json) {
        (true, true) => output.report(&Summary::from(counts))?,
        (true, false) => output.line(text(counts))?,
        (false, _) => {}
    }
    output.finish()?;
    if !args.summary {
        context.note(text(counts));
    }
    let is_same = counts.added + counts.removed + counts.changed == 0;
    Ok(if is_same { Exit::Success } else { Exit::NotFound })
}

/// One key whose entries differ, to be printed.
struct Line<'d> {
    change: Change,
    key: &'d [u8],
    old: Option<ValueBytes<'d>>,
    new: Option<ValueBytes<'d>>,
    notation: Notation,
}

/// The value of an entry. `None` if there is no entry, or if it is a tombstone.
fn value_of(entry: Option<MergedEntry<'_>>) -> Result<Option<ValueBytes<'_>>, MergeError> {
    Ok(entry.map(MergedEntry::into_value).transpose()?.flatten())
}

impl Line<'_> {
    /// The line, in the colours of other tools: green, red and yellow.
    fn coloured(&self, is_coloured: bool) -> impl std::fmt::Display {
        let color = match self.change {
            Change::Added => AnsiColor::Green,
            Change::Removed => AnsiColor::Red,
            Change::Changed => AnsiColor::Yellow,
        };
        let style = if is_coloured { color.on_default() } else { Style::new() };
        format!("{style}{self}{style:#}")
    }
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        write!(f, "{sign}")?;
        for bytes in
            [Some(self.key), self.old.as_deref(), self.new.as_deref()].into_iter().flatten()
        {
            write!(f, "\t{}", Bytes { bytes, notation: self.notation })?;
        }
        Ok(())
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let change = match self.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        };
        map.serialize_entry("change", change)?;
        let bytes = |bytes| Bytes { bytes, notation: self.notation };
        serialize_bytes(&mut map, KEY, bytes(self.key))?;
        if let Some(old) = &self.old {
            serialize_bytes(&mut map, OLD, bytes(old))?;
        }
        if let Some(new) = &self.new {
            serialize_bytes(&mut map, NEW, bytes(new))?;
        }
        map.end()
    }
}

/// The counts, as JSON.
#[derive(Serialize)]
struct Summary {
    added: u64,
    removed: u64,
    changed: u64,
    same: u64,
    decoded: u64,
}

impl From<DiffCounts> for Summary {
    fn from(counts: DiffCounts) -> Self {
        let DiffCounts { added, removed, changed, same, decoded, .. } = counts;
        Self { added, removed, changed, same, decoded }
    }
}

fn text(counts: DiffCounts) -> String {
    let number = indicatif::HumanCount;
    format!(
        "{} added, {} removed, {} changed, {} the same",
        number(counts.added),
        number(counts.removed),
        number(counts.changed),
        number(counts.same),
    )
}
