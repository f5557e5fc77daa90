//! `sst certificate`: the certificate of a directory.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::certificate::{Certificate, FamilyLine};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::store::{check_family, read_catalog};
use crate::url;

const AFTER_HELP: &str = "\
Two directories with the same certificate answer every `get` alike, whatever their tables look
like: a copy, one that was merged, one that was loaded from the same input elsewhere. What the
commit says is printed as it is, see --certify of `load` and `merge`; where it says nothing,
all entries are read. `sst verify` tells whether it is so.

Examples:
  sst certificate unicode.db > unicode.certificate
  sst verify copy/of/unicode.db --against unicode.certificate";

/// Arguments of `sst certificate`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CertificateArgs {
    /// Directory to certify, or its URL
    #[arg(value_parser = url::parser())]
    dir: PathBuf,

    /// Certify only this key space [default: all]
    #[arg(long, value_name = "NUMBER")]
    family: Option<u32>,

    /// Read all entries, even if the commit has a certificate
    #[arg(long)]
    compute: bool,
}

#[derive(Serialize)]
struct OfDirectory<'a> {
    path: String,
    commit: u32,
    families: &'a [FamilyLine],
}

pub(crate) fn run(args: &CertificateArgs, context: Context) -> Result<Exit, CliError> {
    let catalog = read_catalog(&args.dir)?;
    if let Some(family) = args.family {
        check_family(&catalog, family)?;
    }
    let bar = |bytes| context.progress.bytes(Some(bytes), "read");
    let certificate = Certificate::of_catalog(&catalog, args.family, args.compute, bar)?;
    let mut output = Output::stdout();
    if context.json {
        output.report(&OfDirectory {
            path: args.dir.display().to_string(),
            commit: catalog.commit.0,
            families: &certificate.families,
        })?;
    } else {
        for line in &certificate.families {
            output.line(line.text())?;
        }
    }
    output.finish()?;
    Ok(Exit::Success)
}
