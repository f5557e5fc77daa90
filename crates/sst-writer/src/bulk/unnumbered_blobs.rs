//! Blobs that are written but have no number yet.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use sst_format::BlobNumber;
use sst_format::content_digest::ValueDigest;

use super::input_position::InputPosition;
use super::load_file::LoadedFile;
use crate::blob::BlobFile;

/// A blob under a temporary name, or one that has its number from the place to which it was
/// written.
#[derive(Debug)]
pub(crate) struct UnnumberedBlob {
    pub(crate) input_position: InputPosition,
    pub(super) file: LoadedFile,
    pub(crate) blob: BlobFile,
    /// The digest of the value, if the load computes digests.
    pub(crate) digest: Option<ValueDigest>,
}

/// Keeps blobs under tickets until all blobs of the load are written. Then they are numbered in the
/// order of their input positions, so that the numbers do not depend on the threads.
#[derive(Debug, Default)]
pub(crate) struct UnnumberedBlobs {
    blobs: Mutex<Vec<UnnumberedBlob>>,
}

impl UnnumberedBlobs {
    /// Adds a blob and returns its ticket.
    pub(crate) fn add(&self, blob: UnnumberedBlob) -> u64 {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.push(blob);
        blobs.len() as u64 - 1
    }

    /// Takes out all blobs in the order of their input positions, each with its ticket.
    pub(crate) fn take(&self) -> Vec<(u64, UnnumberedBlob)> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blobs: Vec<_> = (0..).zip(mem::take(&mut *blobs)).collect();
        blobs.sort_by_key(|(_, blob)| blob.input_position);
        blobs
    }
}

/// The blob number for each ticket.
pub(crate) type BlobNumbers = HashMap<u64, BlobNumber>;
