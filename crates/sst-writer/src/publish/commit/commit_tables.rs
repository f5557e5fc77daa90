//! The tables of a commit that is being made.

use std::collections::BTreeMap;

use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::{Finished, TableDigest};

/// Where the entries of a table of a commit come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOrigin {
    /// They were put in by the caller. With the digest of these entries, if the publisher computes
    /// digests ([`PublisherOptions::digest`](crate::PublisherOptions::digest)).
    Written(Option<TableDigest>),
    /// The file was copied byte for byte ([`Commit::copy_table`](super::Commit::copy_table)).
    Copied,
    /// A task has written the file ([`Commit::add_task`](super::Commit::add_task)), and may have
    /// compared it with the entries that it put in.
    OfTask,
}

/// The tables that were added to a commit, with what the commit knows of each of them.
#[derive(Debug, Default)]
pub(crate) struct CommitTables {
    /// In the order in which they were added.
    described: Vec<(SequenceNumber, SstMeta)>,
    /// Each table of `described` is here.
    contents: BTreeMap<SequenceNumber, TableContent>,
}

/// The content of a table.
#[derive(Debug)]
struct TableContent {
    origin: TableOrigin,
    /// The blobs to which it refers.
    blobs: Vec<BlobNumber>,
}

impl CommitTables {
    /// Adds a table that was written.
    pub(crate) fn add_written<T>(&mut self, sequence: SequenceNumber, table: Finished<T>) {
        let Finished { meta, blobs, digest, .. } = table;
        let origin = TableOrigin::Written(digest);
        self.contents.insert(sequence, TableContent { origin, blobs });
        self.described.push((sequence, meta));
    }

    /// Adds a table whose file was copied, and which refers to no blob.
    pub(crate) fn add_copied(&mut self, sequence: SequenceNumber, meta: SstMeta) {
        let content = TableContent { origin: TableOrigin::Copied, blobs: Vec::new() };
        self.contents.insert(sequence, content);
        self.described.push((sequence, meta));
    }

    /// Adds a table that a task has written.
    pub(crate) fn add_of_task(
        &mut self,
        sequence: SequenceNumber,
        meta: SstMeta,
        blobs: Vec<BlobNumber>,
    ) {
        let content = TableContent { origin: TableOrigin::OfTask, blobs };
        self.contents.insert(sequence, content);
        self.described.push((sequence, meta));
    }

    /// The tables with their descriptions, in the order in which they were added.
    pub(crate) fn described(&self) -> &[(SequenceNumber, SstMeta)] {
        &self.described
    }

    /// Whether it has a table.
    pub(crate) fn contains(&self, table: SequenceNumber) -> bool {
        self.contents.contains_key(&table)
    }

    /// Where the entries of a table come from; `None` if there is no such table.
    pub(crate) fn origin(&self, table: SequenceNumber) -> Option<&TableOrigin> {
        Some(&self.contents.get(&table)?.origin)
    }

    /// The blobs to which each table refers, in the order of [`CommitTables::described`].
    pub(crate) fn blobs(
        &self,
    ) -> impl Iterator<Item = Result<(SequenceNumber, &[BlobNumber]), BrokenInvariant>> {
        self.described.iter().map(|(table, _)| {
            let content = self.contents.get(table);
            let content = content.or_broken("a commit lists the blobs of each of its tables")?;
            Ok((*table, content.blobs.as_slice()))
        })
    }
}
