//! `sst inspect`: shows the parts of a directory or of one of its files.

mod estimate;
mod explain;
mod html;
mod report;
mod strip;
mod text;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use sst_format::explain::Subject;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_reader::{CatalogTable, ReadError, StaticSortedFile};

use super::{Context, log};
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::output::Output;
use crate::store::{is_directory, open_table, read_catalog, reader_options};
use crate::url;
use html::Page;
use report::Report;
use strip::Strip;

const AFTER_HELP: &str = "\
Examples:
  sst inspect unicode.db
  sst inspect unicode.db --blocks
  sst inspect unicode.db --html unicode.html
  sst inspect unicode.db/00000001.sst --explain 3
  sst inspect unicode.db --estimate
  sst inspect unicode.db --json | jq '.total.entry_kinds'";

/// Arguments of `sst inspect`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InspectArgs {
    /// Directory, or one of its files: .sst, .meta, .blob, CURRENT; or its URL
    #[arg(value_parser = url::parser())]
    pub(crate) path: PathBuf,

    /// Dump one block of an .sst file byte by byte: its number, or `offsets` for the offset table
    #[arg(long, value_name = "BLOCK")]
    pub(crate) explain: Option<DumpSubject>,

    /// Show all bytes and entries of a dump, with nothing left out
    #[arg(long)]
    pub(crate) full: bool,

    /// List all blocks of each table
    #[arg(long)]
    pub(crate) blocks: bool,

    /// Write a page with pictures for a web browser to this file, instead of the report
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "explain", "blocks"])]
    pub(crate) html: Option<PathBuf>,

    /// Show the sizes that other options would give: a sample is written with each
    #[arg(long, conflicts_with_all = ["explain", "full", "blocks", "html"])]
    pub(crate) estimate: bool,

    /// Show only this key space
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

/// A part of an `.sst` file that can be dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DumpSubject {
    /// A block, by its index.
    Block(u16),
    /// The offset table.
    Offsets,
}

impl std::str::FromStr for DumpSubject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "offsets" => Ok(Self::Offsets),
            _ => match text.parse() {
                Ok(block) => Ok(Self::Block(block)),
                Err(_) => Err("expected the number of a block, or `offsets`"),
            },
        }
    }
}

pub(crate) fn run(args: &InspectArgs, context: Context) -> Result<Exit, CliError> {
    let path = &args.path;
    let is_directory = is_directory(path)?;
    if let Some(subject) = whole_file_subject(path).filter(|_| !is_directory) {
        return explain::file(path, subject, args, context);
    }
    if args.estimate {
        return estimate::run(args, context);
    }
    if let Some(part) = args.explain {
        return match is_directory {
            true => {
                Err(CliError::Usage("--explain needs one of the directory's .sst files".into()))
            }
            false => explain::part(path, part, args, context),
        };
    }
    let detail = match &args.html {
        Some(_) => Detail::Strips,
        None if args.blocks => Detail::Lists,
        None => Detail::Sums,
    };
    let inspected = match is_directory {
        true => directory(args, detail, context)?,
        false if args.family.is_some() => {
            return Err(CliError::Usage("--family is for directories".to_owned()));
        }
        false => table(path, detail)?,
    };
    let report = &inspected.report;
    let mut output = Output::stdout();
    match &args.html {
        Some(file) => {
            let generations = match &report.directory {
                Some(directory) if directory.protected => log::lines(path)?,
                _ => Vec::new(),
            };
            Page::new(report, inspected.strips, generations).write(file)?;
            report
                .damage
                .iter()
                .try_for_each(|text| output.report_line(format_args!("damaged: {text}")))?;
            output
                .report_line(format_args!("wrote {}: open it in a web browser", file.display()))?;
        }
        None if context.json => output.report(report)?,
        None => text::print(report, &mut output)?,
    }
    output.finish()?;
    Ok(if report.damage.is_empty() { Exit::Success } else { Exit::Damaged })
}

/// The parts of the blocks of each table that are kept beside their sums.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Sums,
    /// Every block.
    Lists,
    /// The blocks of the largest tables, as pictures.
    Strips,
}

/// Highest number of tables that are drawn block by block.
const MAX_STRIPS: usize = 40;

/// A report, and the pictures of some of its tables.
struct Inspected {
    report: Report,
    strips: Vec<Strip>,
    detail: Detail,
}

impl Inspected {
    fn new(report: Report, detail: Detail) -> Self {
        Self { report, strips: Vec::new(), detail }
    }

    /// Adds a table. `is_large` says whether it is among the largest tables.
    fn add(
        &mut self,
        path: &Path,
        file: &StaticSortedFile,
        described: Option<&CatalogTable>,
        is_large: bool,
    ) -> Result<(), ReadError> {
        let info = file.inspect()?;
        self.report.add_table(path, file, &info, described, self.detail == Detail::Lists)?;
        if self.detail == Detail::Strips && is_large {
            self.strips.push(Strip::of(path, &info));
        }
        Ok(())
    }
}

/// The structure to dump for a file that is not a table, chosen by the file's name.
fn whole_file_subject(path: &Path) -> Option<Subject<'static>> {
    let name = path.file_name()?.to_str()?;
    if name == CURRENT_FILE_NAME {
        return Some(Subject::Current);
    }
    match FileName::parse(name)?.kind {
        FileKind::Meta => Some(Subject::MetaFile),
        FileKind::Blob => Some(Subject::Blob),
        FileKind::Sst | FileKind::Del => None,
    }
}

fn directory(args: &InspectArgs, detail: Detail, context: Context) -> Result<Inspected, CliError> {
    let catalog = read_catalog(&args.path)?;
    let options = reader_options();
    let mut inspected = Inspected::new(Report::of_directory(&catalog)?, detail);
    let is_asked_for = |family: u32| args.family.is_none_or(|asked_for| asked_for == family);
    let mut tables: Vec<_> =
        catalog.tables.iter().filter(|table| is_asked_for(table.family)).collect();
    tables.sort_unstable_by_key(|table| Reverse(table.record.file_size));
    let large: BTreeSet<_> = tables.iter().take(MAX_STRIPS).map(|table| table.sequence).collect();
    tables.sort_unstable_by_key(|table| table.sequence);
    let bytes = tables.iter().map(|table| table.record.file_size).sum();
    let progress = context.progress.bytes(Some(bytes), "inspect");
    for table in tables {
        let path = table.path(&catalog.dir);
        let file = table.meta().and_then(|meta| StaticSortedFile::open(&path, &meta, &options));
        let added = file.and_then(|file| {
            inspected.add(&path, &file, Some(table), large.contains(&table.sequence))
        });
        match added {
            Ok(()) => {}
            Err(error) if error.is_corruption() => {
                inspected.report.damage.push(with_causes(&error));
            }
            Err(error) => return Err(error.into()),
        }
        progress.advance(table.record.file_size);
    }
    Ok(inspected)
}

fn table(path: &Path, detail: Detail) -> Result<Inspected, CliError> {
    let table = open_table(path, &reader_options())?;
    let mut inspected = Inspected::new(Report::of_table(path), detail);
    inspected.add(path, &table.file, table.described.as_ref(), true)?;
    Ok(inspected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_blocks_or_the_offset_table() {
        assert_eq!("65535".parse(), Ok(DumpSubject::Block(u16::MAX)));
        assert_eq!("offsets".parse(), Ok(DumpSubject::Offsets));
        for text in ["", "-1", "65536", "index"] {
            assert!(text.parse::<DumpSubject>().is_err(), "{text}");
        }
    }
}
