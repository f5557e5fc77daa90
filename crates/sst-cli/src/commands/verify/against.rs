//! `sst verify --against`: compares the entries of a directory with a certificate.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sst_reader::Catalog;

use super::super::Context;
use crate::certificate::{Certificate, FamilyLine, is_digest};
use crate::error::CliError;

/// The result of comparing a directory with a certificate.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// The argument of `--against`.
    against: String,
    agrees: bool,
    families: Vec<ComparedFamily>,
}

#[derive(Debug, Serialize)]
struct ComparedFamily {
    agrees: bool,
    found: FamilyLine,
    /// The expected certificate, or only a digest if that was given.
    expected: Expected,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Expected {
    Line(FamilyLine),
    Digest(String),
}

impl Comparison {
    /// Compares an intact directory with `against`: a digest, a file with a certificate, or another
    /// directory.
    pub(super) fn new(
        catalog: &Catalog,
        against: &str,
        family: Option<u32>,
        context: Context,
    ) -> Result<Self, CliError> {
        let bar = |bytes| context.progress.bytes(Some(bytes), "compare");
        let found = Certificate::of_catalog(catalog, family, false, bar)?;
        let families = match is_digest(against) && !Path::new(against).exists() {
            true => {
                let [line] = found.families.as_slice() else {
                    let text = "a digest covers one key space: choose it with --family";
                    return Err(CliError::Usage(text.to_owned()));
                };
                vec![ComparedFamily {
                    agrees: line.digest.eq_ignore_ascii_case(against),
                    found: line.clone(),
                    expected: Expected::Digest(against.to_owned()),
                }]
            }
            false => {
                let expected = Certificate::at(&PathBuf::from(against), family, bar)?;
                compare(&found, &expected, family)
            }
        };
        let agrees = families.iter().all(|family| family.agrees);
        Ok(Self { against: against.to_owned(), agrees, families })
    }

    pub(super) const fn agrees(&self) -> bool {
        self.agrees
    }

    /// The comparison in text: a line for each family that differs, or one line if all agree.
    pub(super) fn lines(&self) -> Vec<String> {
        let against = &self.against;
        if self.agrees {
            return vec![format!("accepted: the same entries as {against}")];
        }
        let differing = self.families.iter().filter(|family| !family.agrees);
        let text = |family: &ComparedFamily| match &family.expected {
            Expected::Line(line) => format!(
                "refused: it has  {}\n  where {against} has  {}",
                family.found.text(),
                line.text()
            ),
            Expected::Digest(_) => {
                format!("refused: it has  {}\n  not  {against}", family.found.text())
            }
        };
        differing.map(text).collect()
    }
}

/// Compares all families that occur in at least one of the two certificates.
fn compare(
    found: &Certificate,
    expected: &Certificate,
    family: Option<u32>,
) -> Vec<ComparedFamily> {
    let both = found.families.iter().chain(&expected.families).map(|line| line.family);
    let mut families: Vec<u32> =
        both.filter(|it| family.is_none_or(|family| family == *it)).collect();
    families.sort_unstable();
    families.dedup();
    let of = |family| {
        let (found, expected) = (found.of(family), expected.of(family));
        let agrees = found.agrees(&expected);
        ComparedFamily { agrees, found, expected: Expected::Line(expected) }
    };
    families.into_iter().map(of).collect()
}
