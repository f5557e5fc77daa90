//! `sst gather`: publishes directories that were written elsewhere as one commit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use serde::Serialize;
use sst_amqf::QuotientFilter;
use sst_format::file_name::{FileKind, FileName};
use sst_merge::{FragmentInfo, FragmentOverlap, Gatherer};
use sst_writer::Publisher;
use sst_writer::publish::CommitInfo;

use super::certify_arg::CertifyArg;
use super::merge::note_not_removed;
use super::mode_arg::Mode;
use super::replaced::Replaced;
use super::retention_args::RetentionArgs;
use super::target::Target;
use super::{Context, interrupt};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted, entries};
use crate::store::{is_directory, read_catalog};
use crate::url;

const AFTER_HELP: &str = "\
A fragment is a directory that `sst load` has written, on this machine or another. Its tables
are copied as they are, every byte of each copy is read back and verified, and all of them go
live in one commit, or none does. Where a fragment is certified (`sst load --certify`), what it
holds is compared with its certificate too.

Nothing is merged: with --overlap later-wins the tables of fragments with keys in common lie on
top of each other. `sst merge DIR --in-place` makes one sequence of them.

Examples:
  sst load part-1.csv part-1.db --certify        # on one machine
  sst load part-2.csv part-2.db --certify        # on another
  sst gather part-1.db part-2.db --output all.db --overlap later-wins";

/// Arguments of `sst gather`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GatherArgs {
    /// Directories to gather, or meta files of their commits
    #[arg(required = true, value_name = "FRAGMENT", value_parser = url::path_parser())]
    fragments: Vec<PathBuf>,

    /// Directory to publish in; it is created if it does not exist
    #[arg(long, short, value_name = "DIR", value_parser = url::path_parser())]
    output: PathBuf,

    /// Replace the entries of the output directory, or add to them
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    mode: Mode,

    /// Refuse fragments whose ranges of hashes overlap, or let the later fragment win
    #[arg(long, value_enum, default_value_t = OverlapArg::Refuse)]
    overlap: OverlapArg,

    /// Key space to gather
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    family: u32,

    /// Write no filters for tables that have none. A lookup of an absent key then reads a block of
    /// each such table instead of none, and Next.js refuses the directory
    #[arg(long)]
    no_filter: bool,

    #[command(flatten)]
    retention: RetentionArgs,

    #[command(flatten)]
    certify: CertifyArg,
}

/// How to treat fragments whose ranges of hashes overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverlapArg {
    /// Stop with an error: each writer should have written its own range of hashes
    Refuse,
    /// The fragment that comes later on the command line wins
    LaterWins,
}

impl From<OverlapArg> for FragmentOverlap {
    fn from(arg: OverlapArg) -> Self {
        match arg {
            OverlapArg::Refuse => Self::Refuse,
            OverlapArg::LaterWins => Self::LaterWins,
        }
    }
}

#[derive(Serialize)]
struct Gathered {
    path: String,
    family: u32,
    commit: u32,
    fragments: Vec<GatheredFragment>,
    tables: u64,
    entries: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct GatheredFragment {
    path: String,
    certified: bool,
    tables: u64,
    entries: u64,
    blobs: u64,
    rewritten: u64,
    bytes: u64,
}

pub(crate) fn run(args: &GatherArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    interrupt::install();
    for path in &args.fragments {
        check_fragment(path)?;
    }
    let options = args.retention.options().digest(args.certify.certify);
    let mut target = Target::open(&args.output, options)?;
    let before = target.publisher().current();
    let replaced = match args.mode {
        Mode::Replace => Replaced::of(&mut target, args.family)?,
        Mode::Append => None,
    };
    let (fragments, info) = match gather(target.publisher(), args, context) {
        Ok(gathered) => gathered,
        Err(error) => return Err(target.failed(before, error.into_interrupted(&args.output))),
    };
    note_not_removed(&info.not_removed, context);
    if let Some(replaced) = replaced {
        context.note(replaced.text(&args.output, args.retention));
    }
    let mut certificates = info.certificates.iter();
    let certificate = certificates.find(|certificate| certificate.family == args.family);
    let sum = |of: fn(&GatheredFragment) -> u64| fragments.iter().map(of).sum();
    let gathered = Gathered {
        path: args.output.display().to_string(),
        family: args.family,
        commit: info.commit.0,
        tables: sum(|it| it.tables),
        entries: sum(|it| it.entries),
        bytes: sum(|it| it.bytes),
        digest: certificate.map(|certificate| format!("{:x}", certificate.content)),
        seconds: started.elapsed().as_secs_f64(),
        fragments,
    };
    let printed = gathered.print(context);
    printed.map_err(|error| error.after_commit(&args.output, info.commit.0))?;
    Ok(Exit::Success)
}

/// Publishes the fragments as one commit.
fn gather(
    publisher: &mut Publisher,
    args: &GatherArgs,
    context: Context,
) -> Result<(Vec<GatheredFragment>, CommitInfo), CliError> {
    let monitor = interrupt::monitor();
    let mut commit = publisher.begin_family(args.family);
    let bar = context.progress.entries(args.fragments.len() as u64, "gather");
    let mut fragments = Vec::new();
    let mut gatherer = Gatherer::new(&mut commit, args.overlap.into());
    if !args.no_filter {
        gatherer = gatherer.filter(QuotientFilter::default());
    }
    for path in &args.fragments {
        let info = gatherer.add(path, &monitor)?;
        fragments.push(GatheredFragment::new(path.display().to_string(), &info));
        bar.advance(1);
    }
    if args.mode == Mode::Replace {
        commit.replace_all();
    }
    let info = sst_merge::publish(commit, &monitor)?;
    Ok((fragments, info))
}

/// Fails if `path` is not a fragment, before anything is created for it.
fn check_fragment(path: &Path) -> Result<(), CliError> {
    if is_directory(path)? {
        return match read_catalog(path)? {
            catalog if catalog.is_protected => Ok(()),
            _ => Err(CliError::Original(path.to_owned())),
        };
    }
    let name = path.file_name().and_then(|name| FileName::parse(name.to_str()?));
    match name {
        Some(FileName { kind: FileKind::Meta, .. }) => Ok(()),
        _ => {
            let path = path.display();
            Err(CliError::Usage(format!("{path} is neither a directory nor a .meta file of one")))
        }
    }
}

impl GatheredFragment {
    fn new(path: String, info: &FragmentInfo) -> Self {
        Self {
            path,
            certified: info.is_certified,
            tables: info.tables,
            entries: info.entries,
            blobs: info.blobs,
            rewritten: info.rewritten,
            bytes: info.bytes,
        }
    }
}

impl Gathered {
    fn print(&self, context: Context) -> Result<(), CliError> {
        let mut output = Output::stdout();
        if context.json {
            output.report(self)?;
        } else if !context.quiet {
            output.report_line(format_args!(
                "{}: {} in {} of {}, {} in {:.2} s",
                self.path,
                entries(self.entries),
                counted(self.tables, "table"),
                counted(self.fragments.len() as u64, "fragment"),
                HumanBytes(self.bytes),
                self.seconds,
            ))?;
            for fragment in &self.fragments {
                output.report_line(format_args!(
                    "  {}: {} in {}, {}",
                    fragment.path,
                    entries(fragment.entries),
                    counted(fragment.tables, "table"),
                    if fragment.certified { "as certified" } else { "not certified" },
                ))?;
            }
            if let Some(digest) = &self.digest {
                output.report_line(format_args!("  read back and certified: {digest}"))?;
            }
        }
        output.finish()
    }
}
