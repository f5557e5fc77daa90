//! The files and blobs that a commit, or a task, has created.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sst_format::BlobNumber;
use sst_format::content_digest::ValueDigest;
use sst_format::file_name::FileName;
use sst_format::protection::BlobRecord;

/// The names and the blobs of a commit or a task, which are removed together if it fails.
#[derive(Debug, Default)]
pub(crate) struct CreatedFiles {
    created: Mutex<Created>,
}

#[derive(Debug, Default)]
struct Created {
    /// Every file that has, or may have, one of the commit's names. A name that is only reserved is
    /// not here: a file of that name may be another publisher's.
    names: Vec<FileName>,
    blobs: BTreeMap<BlobNumber, CreatedBlob>,
    /// Whether the files were removed because the commit was dropped.
    are_removed: bool,
}

/// A blob of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreatedBlob {
    pub(crate) record: BlobRecord,
    /// Digest of the value that was put in; `None` for a copy, or without digests.
    pub(crate) digest: Option<ValueDigest>,
}

impl CreatedFiles {
    /// The lock guards plain values that are always consistent, so a panic under it breaks nothing.
    fn lock(&self) -> MutexGuard<'_, Created> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file. `false` if the files were removed already: then so must this one be.
    pub(crate) fn add(&self, name: FileName) -> bool {
        let mut created = self.lock();
        if !created.are_removed {
            created.names.push(name);
        }
        !created.are_removed
    }

    /// Whether there is a file.
    pub(crate) fn has_names(&self) -> bool {
        !self.lock().names.is_empty()
    }

    /// Whether the files were removed.
    pub(crate) fn are_removed(&self) -> bool {
        self.lock().are_removed
    }

    /// A planted bug: the file added last stays when the commit fails.
    #[cfg(sst_planted)]
    pub(crate) fn forget_last(&self) {
        self.lock().names.pop();
    }

    pub(crate) fn add_blob(&self, blob: CreatedBlob) {
        self.lock().blobs.insert(blob.record.number, blob);
    }

    pub(crate) fn blob(&self, number: BlobNumber) -> Option<CreatedBlob> {
        self.lock().blobs.get(&number).copied()
    }

    /// All blobs, in the order of their numbers.
    pub(crate) fn blobs(&self) -> Vec<CreatedBlob> {
        self.lock().blobs.values().copied().collect()
    }

    /// Keeps those names for which `stays` holds.
    pub(crate) fn retain(&self, mut stays: impl FnMut(FileName) -> bool) {
        self.lock().names.retain(|name| stays(*name));
    }

    /// Ends the list: files that are added after this are to be removed at once. `is_gone` removes
    /// a file, or keeps one that the commit needs; `false` if it could not. Returns the files that
    /// are left to be removed.
    pub(crate) fn remove(&self, mut is_gone: impl FnMut(FileName) -> bool) -> BTreeSet<FileName> {
        let mut created = self.lock();
        created.are_removed = true;
        created.names.retain(|name| !is_gone(*name));
        created.names.iter().copied().collect()
    }
}
