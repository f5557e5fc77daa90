//! Where the files of a directory are.

use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};

/// Where a numbered file is in the directory `dir`.
pub(crate) fn path_of(dir: &Path, sequence: SequenceNumber, kind: FileKind) -> PathBuf {
    dir.join(FileName { sequence, kind }.to_string())
}
