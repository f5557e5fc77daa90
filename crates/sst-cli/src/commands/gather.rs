//! `sst gather`: publishes directories that were written elsewhere as one commit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use serde::Serialize;
use sst_amqf::QuotientFilter;
use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::{FileKind, FileName};
use sst_merge::{FragmentInfo, FragmentOverlap, Gatherer};
use sst_object_store::{AdoptOptions, AdoptedFragment, Place};
use sst_writer::Publisher;
use sst_writer::publish::CommitInfo;

use super::bucket::{BucketCommit, bucket};
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
    /// Directories to gather, or meta files of their commits; into a bucket also URLs
    #[arg(required = true, value_name = "FRAGMENT", value_parser = url::parser())]
    fragments: Vec<PathBuf>,

    /// Directory to publish in, which is created if it does not exist; or the URL of a bucket
    #[arg(long, short, value_name = "DIR", value_parser = url::output_parser())]
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
    if url::is_url(&args.output) {
        return to_bucket(args, started, context);
    }
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
    let gathered = Gathered::new(args, fragments, info.commit.0, &info.certificates, started);
    let printed = gathered.print(context);
    printed.map_err(|error| error.after_commit(&args.output, info.commit.0))?;
    Ok(Exit::Success)
}

/// Copies the fragments into a bucket, and publishes them there as one commit.
fn to_bucket(args: &GatherArgs, started: Instant, context: Context) -> Result<Exit, CliError> {
    let place = |path: &PathBuf| match path.to_str() {
        Some(text) if url::is_url(path) => Ok(Place::from_url(text)?),
        _ if is_directory(path)? => {
            check_fragment(path)?;
            Ok(Place::Directory(path.clone()))
        }
        _ => {
            let text = format!("{}: into a bucket whole fragments are gathered", path.display());
            Err(CliError::Usage(text))
        }
    };
    let places = args.fragments.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let commit = BucketCommit {
        family: args.family,
        mode: args.mode,
        certify: args.certify.certify,
        dry_run: false,
    };
    let mut options = AdoptOptions::default().overlap(args.overlap.into());
    if !args.no_filter {
        options = options.filter(QuotientFilter::default());
    }
    let bar = context.progress.entries(places.len() as u64, "gather");
    let mut fragments = Vec::new();
    let mut paths = args.fragments.iter();
    let replaced = commit.replaced(&args.output)?;
    let adopted = commit.adopt(&bucket(&args.output)?, &places, &options, |adopted| {
        let path = paths.next().map(|path| path.display().to_string());
        fragments.extend(path.map(|path| GatheredFragment::adopted(path, &adopted)));
        bar.advance(1);
    });
    let info = adopted.map_err(|error| error.into_interrupted(&args.output))?;
    drop(bar);
    if let Some(replaced) = replaced {
        context.note(replaced.undoable(&args.output));
    }
    let commit = info.commit.0;
    let gathered = Gathered::new(args, fragments, commit, &info.certificates, started);
    gathered.print(context).map_err(|error| error.after_commit(&args.output, commit))?;
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
    if url::is_url(path) {
        let text = "a bucket is gathered into a bucket: `sst pull` copies it to a path";
        return Err(CliError::Usage(format!("{}: {text}", path.display())));
    }
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
    /// A fragment in a bucket: its bytes are compared with its commit, and not with a certificate.
    const fn adopted(path: String, adopted: &AdoptedFragment) -> Self {
        Self {
            path,
            certified: false,
            tables: adopted.tables,
            entries: adopted.entries,
            blobs: adopted.blobs,
            rewritten: adopted.rewritten,
            bytes: adopted.bytes,
        }
    }

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
    fn new(
        args: &GatherArgs,
        fragments: Vec<GatheredFragment>,
        commit: u32,
        certificates: &[FamilyCertificate],
        started: Instant,
    ) -> Self {
        let mut certificates = certificates.iter();
        let certificate = certificates.find(|certificate| certificate.family == args.family);
        let sum = |of: fn(&GatheredFragment) -> u64| fragments.iter().map(of).sum();
        Self {
            path: args.output.display().to_string(),
            family: args.family,
            commit,
            tables: sum(|it| it.tables),
            entries: sum(|it| it.entries),
            bytes: sum(|it| it.bytes),
            digest: certificate.map(|certificate| format!("{:x}", certificate.content)),
            seconds: started.elapsed().as_secs_f64(),
            fragments,
        }
    }

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
