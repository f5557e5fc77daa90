//! Certificates as text: for each family of a directory, its number of entries, bytes and digest.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest};
use sst_reader::{Catalog, ReadError, SstSet};

use crate::error::CliError;
use crate::progress::ProgressLine;
use crate::regular::{MAX_TEXT_LEN, read_at_most};
use crate::store::{is_directory, read_catalog, reader_options};
use crate::url;

/// Number of hex digits of a digest.
pub(crate) const DIGEST_DIGITS: usize = 2 * (CONTENT_DIGEST_LEN - 16);

/// The certificate of one family: how many live entries it has, and their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FamilyLine {
    pub(crate) family: u32,
    pub(crate) entries: u64,
    /// Number of bytes of keys and values.
    pub(crate) bytes: u64,
    /// The digest in hex.
    pub(crate) digest: String,
    /// Whether the commit itself states this certificate; otherwise it was computed by reading.
    #[serde(default)]
    pub(crate) certified: bool,
}

/// The certificates of the families of a directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) families: Vec<FamilyLine>,
}

impl FamilyLine {
    pub(crate) fn new(family: u32, content: &ContentDigest, certified: bool) -> Self {
        let digest = format!("{content:x}");
        Self { family, entries: content.entries(), bytes: content.bytes(), digest, certified }
    }

    /// The certificate of a family without entries.
    pub(crate) fn empty(family: u32) -> Self {
        Self::new(family, &ContentDigest::default(), false)
    }

    /// Whether two certificates are of the same entries: equal counts and equal digests.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let content = |line: &Self| (line.entries, line.bytes, line.digest.to_ascii_lowercase());
        content(self) == content(other)
    }

    /// The line that `sst certificate` prints and [`Certificate::parse`] reads.
    pub(crate) fn text(&self) -> String {
        let Self { family, entries, bytes, digest, .. } = self;
        format!("{digest}  family {family}, {entries} entries, {bytes} bytes")
    }

    fn parse(line: &str) -> Option<Self> {
        let (digest, rest) = line.split_once("  family ")?;
        let mut parts = rest.split(", ");
        let family = parts.next()?.parse().ok()?;
        let entries = parts.next()?.strip_suffix(" entries")?.parse().ok()?;
        let bytes = parts.next()?.strip_suffix(" bytes")?.parse().ok()?;
        let line = Self { family, entries, bytes, digest: digest.to_owned(), certified: false };
        (parts.next().is_none() && is_digest(digest)).then_some(line)
    }
}

/// Whether a text is a digest in hex.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Certificate {
    /// The certificates of a directory. A family that the commit certifies is not read; any other
    /// family is read whole, O(bytes of its tables). With `family`, only that family is included.
    /// With `computes`, certified families are read too. `bar` creates the progress bar of a family
    /// that must be read, given its bytes.
    pub(crate) fn of_catalog(
        catalog: &Catalog,
        family: Option<u32>,
        computes: bool,
        bar: impl Fn(u64) -> ProgressLine,
    ) -> Result<Self, ReadError> {
        let mut families: BTreeSet<u32> = catalog.families();
        families.extend(catalog.certificates.iter().map(|known| known.family));
        families.extend(family);
        families.retain(|it| family.is_none_or(|family| family == *it));
        if families.is_empty() {
            families.insert(0);
        }
        let lines = families.into_iter().map(|family| {
            if let Some(content) = catalog.certificate(family).filter(|_| !computes) {
                return Ok(FamilyLine::new(family, &content, true));
            }
            let tables = catalog.tables.iter().filter(|table| table.family == family);
            let bar = bar(tables.map(|table| table.record.file_size).sum());
            let set = SstSet::from_catalog(catalog.clone(), family, &reader_options());
            let content = set.content_digest(&bar.bytes_monitor())?;
            Ok(FamilyLine::new(family, &content, false))
        });
        Ok(Self { families: lines.collect::<Result<_, ReadError>>()? })
    }

    /// Parses the output of `sst certificate`, as text or as JSON. `None` if `text` is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let certificate = match serde_json::from_str::<Self>(text) {
            Ok(certificate) => certificate,
            Err(_) => {
                let lines = text.lines().map(FamilyLine::parse);
                Self { families: lines.collect::<Option<_>>()? }
            }
        };
        let is_one = |line: &FamilyLine| is_digest(&line.digest);
        let families: BTreeSet<u32> = certificate.families.iter().map(|line| line.family).collect();
        let is_sound = families.len() == certificate.families.len() && !families.is_empty();
        (is_sound && certificate.families.iter().all(is_one)).then_some(certificate)
    }

    /// The certificate at `path`: that of the directory, or the one that the file contains.
    pub(crate) fn at(
        path: &Path,
        family: Option<u32>,
        bar: impl Fn(u64) -> ProgressLine,
    ) -> Result<Self, CliError> {
        if is_directory(path)? {
            return Ok(Self::of_catalog(&read_catalog(path)?, family, false, bar)?);
        }
        // It may come through a pipe, so its length is not known before.
        let text = match url::is_url(path) {
            true => url::read(path, MAX_TEXT_LEN),
            false => File::open(path).and_then(|file| read_at_most(file, 0, MAX_TEXT_LEN)),
        };
        let text = text.map_err(|error| CliError::io("read", path, error))?;
        let certificate = String::from_utf8(text).ok().and_then(|text| Self::parse(&text));
        certificate.ok_or_else(|| {
            let path = path.display();
            CliError::Usage(format!("{path}: not a certificate: `sst certificate` prints one"))
        })
    }

    /// The certificate of a family. A family that is not listed has no entries.
    pub(crate) fn of(&self, family: u32) -> FamilyLine {
        let mut lines = self.families.iter();
        let line = lines.find(|line| line.family == family);
        line.map_or_else(|| FamilyLine::empty(family), FamilyLine::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(family: u32) -> FamilyLine {
        let digest = ContentDigest::from_bytes(&[family.to_be_bytes()[3]; CONTENT_DIGEST_LEN]);
        FamilyLine::new(family, &digest, false)
    }

    #[test]
    fn text_and_json_are_read_back() {
        let certificate = Certificate { families: vec![line(1), line(7)] };
        let text: String = certificate.families.iter().map(|line| line.text() + "\n").collect();
        let json = serde_json::to_string(&certificate).unwrap();
        for written in [text, json] {
            assert_eq!(Certificate::parse(&written).unwrap().families, certificate.families);
        }
    }

    #[test]
    fn other_text_is_no_certificate() {
        let good = line(3).text();
        assert!(Certificate::parse(&good).is_some());
        let twice = format!("{good}\n{good}");
        let short = good.get(1..).unwrap().to_owned();
        let more = format!("{good}, 5 apples");
        for text in ["", "\n", "{}", "hello", r#"{"families":[]}"#, &twice, &short, &more] {
            assert!(Certificate::parse(text).is_none(), "{text}");
        }
    }
}
