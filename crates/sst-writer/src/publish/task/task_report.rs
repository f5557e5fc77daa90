//! What a task reports to its driver.

use std::collections::{BTreeMap, BTreeSet};

use sst_format::content_digest::{ContentDigest, ValueDigest};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use crate::publish::number_claim::{JobId, block_of};
use crate::{PublishError, TableDigest};

/// The tables and blobs that one attempt of a task has written under claims: all that a commit must
/// know of them. It is sent to the driver as bytes.
///
/// # Examples
///
/// See [`TaskWriter`](super::TaskWriter).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskReport {
    /// The owner of the claims: the number of the job, then that of the attempt.
    pub owner: u64,
    /// The family of the tables.
    pub family: u32,
    /// The first numbers of the claimed blocks.
    pub claims: Vec<u32>,
    /// The tables, in the order in which they were added. Of tables that share a key the last one
    /// wins.
    pub tables: Vec<TaskTable>,
    /// The blobs.
    pub blobs: Vec<BlobRecord>,
    /// The digest of its live entries as they were read back; `None` if they were not.
    pub content: Option<ContentDigest>,
    /// Digests of the values that were put into blobs. They are not part of the bytes.
    pub(super) blob_digests: BTreeMap<BlobNumber, ValueDigest>,
}

/// A table of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskTable {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// Its description, with its filter and the headers of its blocks.
    pub meta: SstMeta,
    /// The blobs that it refers to, in ascending order.
    pub blobs: Vec<BlobNumber>,
    /// The digest of the entries that were put in, if the options ask for it. It is not part of the
    /// bytes.
    pub digest: Option<TableDigest>,
}

impl TaskTable {
    /// A table that was written under a claimed number.
    #[must_use]
    pub const fn new(sequence: SequenceNumber, meta: SstMeta, blobs: Vec<BlobNumber>) -> Self {
        Self { sequence, meta, blobs, digest: None }
    }
}

impl TaskReport {
    /// The report of an attempt that has written nothing.
    #[must_use]
    pub const fn new(owner: u64, family: u32) -> Self {
        Self {
            owner,
            family,
            claims: Vec::new(),
            tables: Vec::new(),
            blobs: Vec::new(),
            content: None,
            blob_digests: BTreeMap::new(),
        }
    }

    /// The job of the task.
    #[must_use]
    pub const fn job(&self) -> JobId {
        JobId::of_owner(self.owner)
    }

    /// Digest of the value that was put into a blob; `None` without digests, or after the report
    /// was sent as bytes.
    #[must_use]
    pub fn blob_digest(&self, blob: BlobNumber) -> Option<ValueDigest> {
        self.blob_digests.get(&blob).copied()
    }

    /// The bytes of all its tables and blobs.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let tables: u64 = self.tables.iter().map(|table| table.meta.file_size).sum();
        let blobs: u64 = self.blobs.iter().map(|blob| blob.file_size).sum();
        tables + blobs
    }

    /// Checks what needs no access to files: each number is one of the claimed ones and is used
    /// once, the tables are of this family, and each blob of a table is one of the blobs. O(n log
    /// n).
    ///
    /// # Errors
    ///
    /// [`PublishError::WrongFamily`], [`PublishError::NotClaimed`], [`PublishError::ForeignTable`],
    /// [`PublishError::UnknownBlob`].
    pub fn check(&self, family: u32) -> Result<(), PublishError> {
        if self.family != family {
            return Err(PublishError::WrongFamily { expected: family, found: self.family });
        }
        let claimed: BTreeSet<u32> = self.claims.iter().copied().collect();
        let tables = self.tables.iter().map(|table| table.sequence);
        let blobs: BTreeSet<_> = self.blobs.iter().map(|blob| blob.number).collect();
        let mut numbers = BTreeSet::new();
        for number in tables.chain(self.blobs.iter().map(|blob| SequenceNumber(blob.number.0))) {
            if !claimed.contains(&block_of(number.0)) {
                return Err(PublishError::NotClaimed { number, owner: self.owner });
            }
            if !numbers.insert(number) {
                return Err(PublishError::ForeignTable { table: number });
            }
        }
        for table in &self.tables {
            if let Some(blob) = table.blobs.iter().find(|blob| !blobs.contains(blob)) {
                return Err(PublishError::UnknownBlob { table: table.sequence, blob: *blob });
            }
        }
        Ok(())
    }
}
