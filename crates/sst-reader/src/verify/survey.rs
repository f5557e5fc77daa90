//! Checks a directory whose catalog cannot be read: every file, each by the best description that
//! is still readable.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use sst_format::file_name::{CLAIMS_FOLDER, FileKind, FileName};
use sst_format::limits::CLAIMED_NUMBERS;
use sst_format::live::{DescribesTables, live_tables};
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::HashRange;
use sst_format::{SequenceNumber, SstMeta};

use super::{Checked, VerifyReport};
use crate::block::source::{Files, Source};
use crate::set::{decode_blob, read_current, read_whole};
use crate::{Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};

/// A directory that is looked at file by file.
pub(super) struct Survey<'a> {
    pub(super) dir: &'a Path,
    pub(super) options: &'a ReaderOptions,
    files: Files,
    pub(super) report: VerifyReport,
    /// Meta files that some meta file lists.
    listed: BTreeSet<SequenceNumber>,
}

/// The contents of a readable meta file.
struct SurveyedMeta {
    sequence: SequenceNumber,
    obsolete: Vec<SequenceNumber>,
    described: Vec<(SequenceNumber, SstMeta)>,
}

impl DescribesTables for SurveyedMeta {
    type Description<'a> = &'a SstMeta;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &SstMeta)> {
        self.described.iter().map(|(sequence, meta)| (*sequence, meta))
    }
}

impl<'a> Survey<'a> {
    /// A survey that knows of one error already.
    pub(super) fn new(dir: &'a Path, options: &'a ReaderOptions, first: ReadError) -> Self {
        let mut report = VerifyReport::default();
        report.damage.push(first);
        Self { dir, options, files: options.way(), report, listed: BTreeSet::new() }
    }

    /// Looks at every file up to the commit, newest meta files first.
    pub(super) fn run(mut self, checked: &mut Checked<'_>) -> Result<VerifyReport, ReadError> {
        let files = self.files()?;
        let of_kind = |kind| files.iter().rev().filter(move |file| file.kind == kind);
        let mut metas = Vec::new();
        for file in of_kind(FileKind::Meta) {
            match self.meta(file.sequence) {
                Ok(meta) => metas.push(meta),
                Err(error) => self.note(error)?,
            }
        }
        for live in live_tables(&metas).into_iter().rev() {
            let path = self.path(FileName { sequence: live.sequence, kind: FileKind::Sst });
            let table = StaticSortedFile::open(path, live.description, self.options);
            self.table(table.map_err(missing), checked)?;
        }
        let described = metas.iter().flat_map(|meta| meta.described().map(|(table, _)| table));
        let known: BTreeSet<_> = described.chain(metas.iter().flat_map(|m| m.obsolete())).collect();
        for file in of_kind(FileKind::Sst) {
            if !known.contains(&file.sequence) {
                let table = StaticSortedFile::open_undescribed(&self.path(*file), self.options);
                self.table(table, checked)?;
            }
        }
        for file in of_kind(FileKind::Blob) {
            self.blob(*file, checked)?;
        }
        Ok(self.report)
    }

    /// The numbered files that belong to the commit, as far as `CURRENT` can tell, in ascending
    /// order.
    fn files(&mut self) -> Result<Vec<FileName>, ReadError> {
        let commit = match read_current(self.dir, &self.files) {
            Ok(current) => current.sequence,
            Err(error) => {
                self.note(error)?;
                // Every file counts.
                SequenceNumber(u32::MAX)
            }
        };
        let names = match self.files.list(self.dir) {
            // A store without lists shows nothing but what a commit names.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Vec::new(),
            names => names.map_err(|e| ReadError::io(&FileLabel::new(self.dir), "list", e))?,
        };
        let mut files: Vec<_> = names.iter().filter_map(|name| FileName::parse(name)).collect();
        let claimed = self.claimed_blocks();
        files.retain(|file| {
            // A task may be about to finish a file under a number that it has claimed.
            let is_content = matches!(file.kind, FileKind::Sst | FileKind::Blob);
            let is_claimed =
                claimed.contains(&(file.sequence.0 - file.sequence.0 % CLAIMED_NUMBERS));
            file.sequence <= commit && !(is_content && is_claimed)
        });
        files.sort_by_key(|file| file.sequence);
        Ok(files)
    }

    /// The first numbers of the blocks that writers have claimed (FORMAT.md section 14). Tables
    /// that a meta file describes are checked whether they are claimed or not.
    fn claimed_blocks(&self) -> BTreeSet<u32> {
        // Most directories have no claims, and some stores no lists. A folder that cannot be read
        // spares no file: the files are checked as if they were not claimed.
        let names = self.files.list(&self.dir.join(CLAIMS_FOLDER)).unwrap_or_default();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn path(&self, file: FileName) -> std::path::PathBuf {
        self.dir.join(file.to_string())
    }

    /// Reads a meta file, and checks that the meta files that it lists are there.
    fn meta(&mut self, sequence: SequenceNumber) -> Result<SurveyedMeta, ReadError> {
        let label = FileLabel::new(self.path(FileName { sequence, kind: FileKind::Meta }));
        let bytes = read_whole(&label, &self.files)?;
        let meta = MetaFile::parse(&bytes, crc32fast::hash)
            .map_err(|error| ReadError::corrupt(&label, error))?;
        let damage = |error| ReadError::corrupt(&label, error);
        let mut described = Vec::new();
        for table in meta.described().map_err(damage)? {
            let description = table.description(&bytes).map_err(damage)?;
            described.push((table.record.sequence, description));
        }
        for live in meta.protection().into_iter().flat_map(|section| section.live_metas()) {
            let path = self.path(FileName { sequence: live.sequence, kind: FileKind::Meta });
            if !self.listed.insert(live.sequence) {
                continue;
            }
            let label = FileLabel::new(path);
            match self.files.exists(label.path()) {
                Ok(true) => {}
                Ok(false) => self.note(ReadError::corrupt(&label, Corruption::Missing))?,
                Err(error) => self.note(ReadError::io(&label, "look for", error))?,
            }
        }
        Ok(SurveyedMeta { sequence, obsolete: meta.obsolete().collect(), described })
    }

    fn table(
        &mut self,
        table: Result<StaticSortedFile, ReadError>,
        checked: &mut Checked<'_>,
    ) -> Result<(), ReadError> {
        match table {
            Ok(table) => self.report.absorb(table.verify_on(HashRange::FULL, checked)?.0),
            Err(error) => self.note(error)?,
        }
        Ok(())
    }

    fn blob(&mut self, file: FileName, checked: &mut Checked<'_>) -> Result<(), ReadError> {
        let label = FileLabel::new(self.path(file));
        let source = Source::open(&label, &self.files);
        match source.and_then(|source| decode_blob(&label, source, None, u64::MAX)) {
            Ok(blob) => {
                self.report.blobs += 1;
                self.report.bytes += blob.len() as u64;
                checked.add(&label, blob.len() as u64)?;
            }
            Err(error) => self.note(error)?,
        }
        Ok(())
    }

    /// Adds an error, unless it is the one that the survey began with. A cancellation ends the
    /// survey.
    fn note(&mut self, error: ReadError) -> Result<(), ReadError> {
        if matches!(error, ReadError::Cancelled { .. }) {
            return Err(error);
        }
        let is_same = match (self.report.damage.first(), &error) {
            (
                Some(ReadError::Corrupt { file: a, block: None, cause: b }),
                ReadError::Corrupt { file: c, block: None, cause: d },
            ) => a == c && b == d,
            _ => false,
        };
        if !is_same {
            self.report.damage.push(error);
        }
        Ok(())
    }
}

/// A file that a readable meta file describes and that is not there is damage.
fn missing(error: ReadError) -> ReadError {
    match error {
        ReadError::Io { file, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            ReadError::corrupt(&file, Corruption::Missing)
        }
        error => error,
    }
}
