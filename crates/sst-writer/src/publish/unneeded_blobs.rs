//! The proof that a blob may be removed.

use std::collections::BTreeSet;

use sst_format::file_name::{FileKind, FileName};
use sst_format::{BlobNumber, SequenceNumber};

use crate::publish::commit_meta::CommitMeta;

/// The blobs of which the meta files of a directory tell whose they are.
///
/// Meta files describe every table, so a table that no live or kept meta file describes is needed
/// by no commit. A blob is known by the tables that refer to it, and a meta file with right
/// checksums may leave a blob out of its list. For example, a tool has rewritten the newest meta
/// file with an empty list: `get` of the key then fails, and the file is the only copy of the
/// value. So a blob is removed only if a meta file lists it, and only for tables that no commit
/// needs any more. Any other blob stays, and `sst verify` names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnneededBlobs {
    /// Blobs that a meta file lists.
    listed: BTreeSet<BlobNumber>,
    /// Blobs that any meta file lists for a table that a commit needs.
    of_needed_tables: BTreeSet<BlobNumber>,
}

impl UnneededBlobs {
    /// What all `metas` of the directory tell, those included that no commit needs. `needed` are
    /// the files of the commits that are live or kept.
    pub(crate) fn of<'a>(
        metas: impl IntoIterator<Item = &'a CommitMeta>,
        needed: impl Fn(&FileName) -> bool,
    ) -> Self {
        let mut blobs = Self::default();
        let needs_table =
            |sequence: SequenceNumber| needed(&FileName { sequence, kind: FileKind::Sst });
        for meta in metas.into_iter().filter(|meta| !meta.blobs.is_empty()) {
            blobs.add(meta.clone(), needs_table);
        }
        blobs
    }

    fn add(&mut self, mut meta: CommitMeta, needs_table: impl Fn(SequenceNumber) -> bool) {
        meta.set_live(|_, table| needs_table(table.record.sequence));
        let numbers = meta.blobs.iter().map(|blob| blob.number);
        if meta.has_live() {
            match meta.live_blobs() {
                Ok(live) => {
                    let live = live.of_each.into_iter().flatten().chain(live.of_any);
                    self.of_needed_tables.extend(live.map(|blob| blob.number));
                }
                // Counts that contradict the list free nothing of it.
                Err(_) => self.of_needed_tables.extend(numbers.clone()),
            }
        }
        self.listed.extend(numbers);
    }

    /// Whether a blob that no live or kept commit lists may be removed.
    pub(crate) fn contains(&self, blob: BlobNumber) -> bool {
        self.listed.contains(&blob) && !self.of_needed_tables.contains(&blob)
    }
}
