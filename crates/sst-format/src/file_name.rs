//! Names of the files of a directory (FORMAT.md section 1).

use core::fmt;

use crate::SequenceNumber;

/// Name of the file that holds the commit point.
pub const CURRENT_FILE_NAME: &str = "CURRENT";

/// Name of the folder with the claims on blocks of sequence numbers (FORMAT.md section 14).
pub const CLAIMS_FOLDER: &str = "claims";

/// Number of digits of a sequence number in a file name, at least.
const DIGITS: usize = 8;

/// The kind of a numbered file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A table.
    Sst,
    /// One large value.
    Blob,
    /// Sequence numbers of obsolete files: written by the original, and by ours with a rollback.
    Del,
    /// The description of the tables of a commit.
    Meta,
}

impl FileKind {
    /// The extension of files of this kind, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Sst => "sst",
            Self::Blob => "blob",
            Self::Del => "del",
            Self::Meta => "meta",
        }
    }

    fn from_extension(extension: &str) -> Option<Self> {
        [Self::Sst, Self::Blob, Self::Del, Self::Meta]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

/// Name of a numbered file: `00000042.sst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The kind of the file.
    pub kind: FileKind,
}

impl FileName {
    /// Parses the name of a numbered file. `None` for any other name: `CURRENT`, a lock, a
    /// temporary file.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, extension) = name.split_once('.')?;
        let canonical =
            digits.len() == DIGITS || (digits.len() > DIGITS && !digits.starts_with('0'));
        if !canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let sequence = SequenceNumber(digits.parse().ok()?);
        Some(Self { sequence, kind: FileKind::from_extension(extension)? })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}.{}", self.sequence.0, self.kind.extension(), width = DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn names_round_trip() {
        for (sequence, kind, name) in [
            (0, FileKind::Sst, "00000000.sst"),
            (42, FileKind::Meta, "00000042.meta"),
            (99_999_999, FileKind::Del, "99999999.del"),
            (u32::MAX, FileKind::Blob, "4294967295.blob"),
        ] {
            let file_name = FileName { sequence: SequenceNumber(sequence), kind };
            assert_eq!(file_name.to_string(), name);
            assert_eq!(FileName::parse(name), Some(file_name));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "CURRENT",
            "LOCK",
            "00000001",
            "1.sst",
            "0000001.sst",
            "000000001.sst",
            "00000001.tmp",
            "+0000001.sst",
            "00000001.sst.tmp",
            "9999999999.sst",
            "",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
