//! Which commit of which directory is read: numbers do not tell (FORMAT.md section 9, "Identity").

use std::io;
use std::path::Path;

use sst_format::current::{CURRENT_CHECKSUM_AT, Current};
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind};
use sst_format::identity::CommitIdentity;
use sst_format::protection::{TRAILER_LEN, Trailer};

use super::paths::path_of;
use crate::block::source::{FileIdentity, PositionedFile, open_regular};
use crate::block::triage::wrong_file;
use crate::{Corruption, FileLabel, ReadError};

/// How much of `CURRENT` is read: more than a valid one has, and enough to recognise other
/// revisions, whose length differs.
const MAX_CURRENT_LEN: u64 = 4 << 10;

/// What a directory shows of its commit at a glance: a few bytes of `CURRENT` and of the newest
/// meta file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) current: Current,
    /// `None` if the newest meta file is not there, or not what `CURRENT` says it is.
    commit: Option<CommitIdentity>,
    /// The newest meta file. A protected commit is known by its checksums, wherever it lies.
    file: Option<FileIdentity>,
}

impl Glance {
    /// Looks at a directory. `start_len` is how many bytes of the newest meta file are compared in
    /// a directory without protection.
    pub(super) fn at(dir: &Path, start_len: usize) -> Result<Self, ReadError> {
        let current = read_current(dir)?;
        let label = FileLabel::new(path_of(dir, current.sequence, FileKind::Meta));
        let none = Self { current, commit: None, file: None };
        let (file, metadata) = match open_regular(label.path()) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
            Err(error) => return Err(ReadError::io(&label, "open", error)),
        };
        let identity = FileIdentity::of(&metadata);
        let file = PositionedFile::new(file, identity.len);
        let read = |buffer: &mut [u8], at| {
            file.read_exact_at(buffer, at).map_err(|e| ReadError::io(&label, "read", e))
        };
        if current.is_protected {
            let Some(trailer_start) = identity.len.checked_sub(TRAILER_LEN as u64) else {
                return Ok(none);
            };
            let mut trailer = [0; TRAILER_LEN];
            read(&mut trailer, trailer_start)?;
            let Ok(trailer) = Trailer::parse(&trailer) else { return Ok(none) };
            return Ok(Self::protected(current, trailer.checksum));
        }
        if identity.len < start_len as u64 {
            return Ok(none);
        }
        let mut start = Vec::new();
        start.try_reserve_exact(start_len).map_err(|_| ReadError::OutOfMemory {
            file: label.clone(),
            block: None,
            bytes: start_len as u64,
        })?;
        start.resize(start_len, 0);
        read(&mut start, 0)?;
        Ok(Self::bare(current, &start, identity))
    }

    /// Of a directory that is one chain of checksums.
    pub(super) const fn protected(current: Current, checksum: u32) -> Self {
        let commit = CommitIdentity::Protected { sequence: current.sequence, checksum };
        Self { current, commit: Some(commit), file: None }
    }

    /// Of a directory without protection, whose newest meta file starts with `start`.
    pub(super) fn bare(current: Current, start: &[u8], file: FileIdentity) -> Self {
        let start_checksum = crc32fast::hash(start);
        let (sequence, file_len) = (current.sequence, file.len);
        let commit = CommitIdentity::Bare { sequence, start_checksum, file_len };
        Self { current, commit: Some(commit), file: Some(file) }
    }

    /// The identity of the commit; `None` without a readable newest meta file.
    pub(super) const fn commit(&self) -> Option<CommitIdentity> {
        self.commit
    }
}

/// Reads `CURRENT`.
pub(crate) fn read_current(dir: &Path) -> Result<Current, ReadError> {
    let label = FileLabel::new(dir.join(CURRENT_FILE_NAME));
    let (file, metadata) =
        open_regular(label.path()).map_err(|e| ReadError::io(&label, "open", e))?;
    let len = metadata.len();
    let file = PositionedFile::new(file, len);
    let mut bytes = vec![0; len.min(MAX_CURRENT_LEN) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|e| ReadError::io(&label, "read", e))?;
    Current::parse(&bytes, crc32fast::hash).map_err(|error| {
        let cause = match error {
            // The file may be longer than what was read of it.
            sst_format::FormatError::UnknownRevision { looks_like_json, .. } => {
                Corruption::from(sst_format::FormatError::UnknownRevision { len, looks_like_json })
            }
            error => wrong_file(&label, &bytes, CURRENT_CHECKSUM_AT, error),
        };
        ReadError::corrupt(&label, cause)
    })
}
