//! Which commit of which directory is read: numbers do not tell (FORMAT.md section 9, "Identity").

use std::io;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::current::{CURRENT_CHECKSUM_AT, Current};
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind};
use sst_format::identity::{CommitIdentity, IDENTITY_LEN};

use super::paths::path_of;
use crate::block::source::{FileIdentity, Files, PositionedFile};
use crate::block::triage::wrong_file;
use crate::{Corruption, FileLabel, ReadError};

/// How much of `CURRENT` is read: more than a valid one has, and enough to recognise other
/// revisions, whose length differs.
const MAX_CURRENT_LEN: u64 = 4 << 10;

/// The part of a directory that tells one commit from another: `CURRENT`, and a few bytes of the
/// newest live meta file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DirectoryStamp {
    pub(super) current: Current,
    /// `None` if the meta file is not there, is not what `CURRENT` says it is, or is not known yet.
    commit: Option<CommitIdentity>,
    /// A protected commit is known by its checksums, wherever it lies. Of one without protection
    /// the system tells more.
    bare: Option<BareFiles>,
}

/// Files of a directory without protection, as the system knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BareFiles {
    /// The original replaces `CURRENT` by another file with each commit.
    current: FileIdentity,
    /// The newest live meta file.
    meta_file: Option<FileIdentity>,
}

/// The bytes that are compared in a directory without protection. Only its `.del` files tell which
/// meta file is the newest live one, so the caller names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BareStart {
    pub(super) meta_file: SequenceNumber,
    /// How many of its bytes are compared.
    pub(super) len: usize,
}

impl DirectoryStamp {
    /// Looks at a directory. `start` is about its newest live meta file, if that is known already.
    pub(super) fn at(
        dir: &Path,
        files: &Files,
        start: Option<BareStart>,
    ) -> Result<Self, ReadError> {
        let (current, file) = read_current_file(dir, files)?;
        if !current.is_protected {
            return Self::at_bare(dir, files, current, file, start);
        }
        let nothing = Self::of_current(current);
        let Some((file, identity, label)) = open_meta_file(dir, files, current.sequence)? else {
            return Ok(nothing);
        };
        // A file that is shorter has no trailer.
        let Some(start) = identity.len.checked_sub(IDENTITY_LEN as u64) else {
            return Ok(nothing);
        };
        let mut last_bytes = [0; IDENTITY_LEN];
        file.read_exact_at(&mut last_bytes, start).map_err(|e| ReadError::io(&label, "read", e))?;
        match CommitIdentity::of_last_bytes(current.sequence, &last_bytes) {
            Ok(commit) => Ok(Self::protected(current, commit)),
            Err(_) => Ok(nothing),
        }
    }

    fn at_bare(
        dir: &Path,
        files: &Files,
        current: Current,
        file: FileIdentity,
        start: Option<BareStart>,
    ) -> Result<Self, ReadError> {
        let seen = Self {
            current,
            commit: None,
            bare: Some(BareFiles { current: file, meta_file: None }),
        };
        let Some(BareStart { meta_file, len }) = start else { return Ok(seen) };
        let Some((file, identity, label)) = open_meta_file(dir, files, meta_file)? else {
            return Ok(seen);
        };
        if identity.len < len as u64 {
            return Ok(seen);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| ReadError::OutOfMemory {
            file: label.clone(),
            block: None,
            bytes: len as u64,
        })?;
        bytes.resize(len, 0);
        file.read_exact_at(&mut bytes, 0).map_err(|e| ReadError::io(&label, "read", e))?;
        Ok(seen.with_bare_meta_file(meta_file, crc32fast::hash(&bytes), identity))
    }

    /// Of a directory of which nothing but its protected `CURRENT` is known.
    pub(super) const fn of_current(current: Current) -> Self {
        Self { current, commit: None, bare: None }
    }

    /// Of a directory that is one chain of checksums.
    pub(super) const fn protected(current: Current, commit: CommitIdentity) -> Self {
        Self { current, commit: Some(commit), bare: None }
    }

    /// This stamp of a directory without protection, with its newest live meta file.
    pub(super) fn with_bare_meta_file(
        mut self,
        meta_file: SequenceNumber,
        start_checksum: u32,
        file: FileIdentity,
    ) -> Self {
        let (sequence, file_len) = (self.current.sequence, file.len);
        let commit = CommitIdentity::Bare { sequence, meta_file, start_checksum, file_len };
        self.commit = Some(commit);
        if let Some(bare) = &mut self.bare {
            bare.meta_file = Some(file);
        }
        self
    }

    /// The identity of the commit; `None` without a readable newest meta file.
    pub(super) const fn commit(&self) -> Option<CommitIdentity> {
        self.commit
    }
}

/// Opens a meta file to look at it. `None` if it is not there.
fn open_meta_file(
    dir: &Path,
    files: &Files,
    sequence: SequenceNumber,
) -> Result<Option<(PositionedFile, FileIdentity, FileLabel)>, ReadError> {
    let label = FileLabel::new(path_of(dir, sequence, FileKind::Meta));
    match files.open(label.path()) {
        Ok((file, identity)) => Ok(Some((file, identity, label))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadError::io(&label, "open", error)),
    }
}

/// Reads `CURRENT`.
pub(crate) fn read_current(dir: &Path, files: &Files) -> Result<Current, ReadError> {
    read_current_file(dir, files).map(|(current, _)| current)
}

/// Reads `CURRENT`, and tells which file it was.
fn read_current_file(dir: &Path, files: &Files) -> Result<(Current, FileIdentity), ReadError> {
    let label = FileLabel::new(dir.join(CURRENT_FILE_NAME));
    let (file, identity) =
        files.open(label.path()).map_err(|e| ReadError::io(&label, "open", e))?;
    let len = file.len();
    let mut bytes = vec![0; len.min(MAX_CURRENT_LEN) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|e| ReadError::io(&label, "read", e))?;
    let current = Current::parse(&bytes, crc32fast::hash).map_err(|error| {
        let cause = match error {
            // The file may be longer than what was read of it.
            sst_format::FormatError::UnknownRevision { looks_like_json, .. } => {
                Corruption::from(sst_format::FormatError::UnknownRevision { len, looks_like_json })
            }
            error => wrong_file(&label, &bytes, CURRENT_CHECKSUM_AT, error),
        };
        ReadError::corrupt(&label, cause)
    })?;
    Ok((current, identity))
}
