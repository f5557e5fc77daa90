//! `sst inspect`: shows the parts of a directory or of one of its files.

mod explain;
mod report;
mod text;

use std::path::{Path, PathBuf};

use clap::Args;
use sst_format::explain::Subject;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};

use super::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::store::{is_directory, open_table, read_catalog, reader_options};
use crate::url;
use report::Report;

const AFTER_HELP: &str = "\
Examples:
  sst inspect unicode.db
  sst inspect unicode.db --blocks
  sst inspect unicode.db/00000001.sst --explain 3
  sst inspect unicode.db --json | jq '.total.entry_kinds'";

/// Arguments of `sst inspect`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InspectArgs {
    /// Directory, or one of its files: .sst, .meta, .blob, CURRENT; or its URL
    #[arg(value_parser = url::parser())]
    pub(crate) path: PathBuf,

    /// Dump one block of an .sst file byte by byte: its number, or `offsets` for the offset table
    #[arg(long, value_name = "BLOCK", conflicts_with = "json")]
    pub(crate) explain: Option<DumpSubject>,

    /// Show all bytes and entries of a dump, with nothing left out
    #[arg(long)]
    pub(crate) full: bool,

    /// List all blocks of each table
    #[arg(long)]
    pub(crate) blocks: bool,

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
    if let Some(part) = args.explain {
        return match is_directory {
            true => {
                Err(CliError::Usage("--explain needs one of the directory's .sst files".into()))
            }
            false => explain::part(path, part, args),
        };
    }
    let mut report = match is_directory {
        true => directory(args, context)?,
        false if args.family.is_some() => {
            return Err(CliError::Usage("--family is for directories".to_owned()));
        }
        false => table(path)?,
    };
    if !args.blocks {
        report.tables.iter_mut().for_each(|table| table.block_list.clear());
    }
    let mut output = Output::stdout();
    match context.json {
        true => output.report(&report)?,
        false => text::print(&report, &mut output)?,
    }
    output.finish()?;
    Ok(if report.damage.is_empty() { Exit::Success } else { Exit::Damaged })
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

fn directory(args: &InspectArgs, context: Context) -> Result<Report, CliError> {
    let catalog = read_catalog(&args.path)?;
    let (options, mut report) = (reader_options(), Report::of_directory(&catalog)?);
    let is_asked_for = |family: u32| args.family.is_none_or(|asked_for| asked_for == family);
    let mut tables: Vec<_> =
        catalog.tables.iter().filter(|table| is_asked_for(table.family)).collect();
    tables.sort_unstable_by_key(|table| table.sequence);
    let bytes = tables.iter().map(|table| table.record.file_size).sum();
    let progress = context.progress.bytes(Some(bytes), "inspect");
    for table in tables {
        let path = table.path(&catalog.dir);
        let file = table
            .meta()
            .and_then(|meta| sst_reader::StaticSortedFile::open(&path, &meta, &options));
        let added = file.and_then(|file| {
            let info = file.inspect()?;
            report.add_table(&path, &file, &info, Some(table))
        });
        match added {
            Ok(()) => {}
            Err(error) if error.is_corruption() => report.damage.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        progress.advance(table.record.file_size);
    }
    Ok(report)
}

fn table(path: &Path) -> Result<Report, CliError> {
    let table = open_table(path, &reader_options())?;
    let mut report = Report::of_table(path);
    let info = table.file.inspect()?;
    report.add_table(path, &table.file, &info, table.described.as_ref())?;
    Ok(report)
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
