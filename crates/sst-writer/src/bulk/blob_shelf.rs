//! Blobs that are written and have no number yet.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use sst_format::BlobNumber;
use sst_format::content_digest::ValueDigest;

use super::input_position::InputPosition;
use crate::blob::BlobFile;
use crate::file::staged_file::StagedFile;

/// A blob under a temporary name.
#[derive(Debug)]
pub(crate) struct ShelvedBlob {
    pub(crate) place: InputPosition,
    pub(crate) file: StagedFile,
    pub(crate) blob: BlobFile,
    /// The digest of the value, if that is taken.
    pub(crate) digest: Option<ValueDigest>,
}

/// Keeps blobs under tickets until all are there. Only then can they be numbered in an order that
/// no thread has a say in.
#[derive(Debug, Default)]
pub(crate) struct BlobShelf {
    blobs: Mutex<Vec<ShelvedBlob>>,
}

impl BlobShelf {
    /// Keeps a blob and returns its ticket.
    pub(crate) fn add(&self, blob: ShelvedBlob) -> u64 {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.push(blob);
        blobs.len() as u64 - 1
    }

    /// Takes all blobs in the order of their places, each with its ticket.
    pub(crate) fn take(&self) -> Vec<(u64, ShelvedBlob)> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blobs: Vec<_> = (0..).zip(mem::take(&mut *blobs)).collect();
        blobs.sort_by_key(|(_, blob)| blob.place);
        blobs
    }
}

/// Which number the blob of a ticket got.
pub(crate) type BlobNumbers = HashMap<u64, BlobNumber>;
