//! The check of a file of any kind.

use super::{BlobCheck, MetaCheck, TableCheck};
use crate::StoreError;

/// Checks the bytes of a file, in order, as they pass by. All of them are covered: a file that is
/// accepted has exactly the bytes that its commit states.
#[derive(Debug)]
pub(crate) enum FileCheck {
    Table(TableCheck),
    Blob(BlobCheck),
    Meta(MetaCheck),
}

/// The reason why bytes are refused, without the name of their file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    Checksum {
        block: Option<u16>,
        expected: u32,
        found: u32,
    },
    Bytes {
        block: Option<u16>,
    },
    Len {
        expected: u64,
        found: u64,
    },
    /// No defect of the bytes: this rule of the check itself does not hold.
    Internal(&'static str),
}

impl Defect {
    /// The error about a file.
    pub(crate) fn of(self, object: String) -> StoreError {
        match self {
            Self::Checksum { block, expected, found } => {
                StoreError::WrongChecksum { object, block, expected, found }
            }
            Self::Bytes { block } => StoreError::WrongBytes { object, block },
            Self::Len { expected, found } => StoreError::WrongLen { object, expected, found },
            Self::Internal(rule) => StoreError::internal(rule),
        }
    }
}

impl FileCheck {
    /// Checks the next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) -> Result<(), Defect> {
        match self {
            Self::Table(check) => check.update(bytes),
            Self::Blob(check) => check.update(bytes),
            Self::Meta(check) => check.update(bytes),
        }
    }

    /// Checks that the file has ended where it should.
    pub(crate) fn finish(self) -> Result<(), Defect> {
        match self {
            Self::Table(check) => check.finish(),
            Self::Blob(check) => check.finish(),
            Self::Meta(check) => check.finish(),
        }
    }
}
