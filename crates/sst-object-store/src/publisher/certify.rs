//! Certificates of commits in a bucket (FORMAT.md section 12).

use std::sync::Arc;

use sst_format::content_digest::ContentDigest;
use sst_format::protection::BlobRecord;
use sst_format::{SequenceNumber, SstMeta};
use sst_reader::{Access, BlockCache, Catalog, ReaderOptions, SstSet};

use super::ObjectCommit;
use crate::blocking::blocking;
use crate::{Monitor, Store, StoreError, StoreFiles};

/// Room for blocks, in bytes. Walks do not use the cache, only the opening of a table does.
const CACHE_CAPACITY: u64 = 1 << 20;

/// Whether commits are certified: read back from the bucket before they become visible, with a
/// digest of the live entries of their family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certify {
    /// They are not.
    #[default]
    No,
    /// They are, but a commit that is made again on top of another writer's commit is published
    /// without a certificate.
    Once,
    /// They are, and a commit that is made again is certified again.
    Always,
}

impl ObjectCommit<'_> {
    /// Whether this attempt to publish the commit is certified.
    pub(super) fn is_certified(&self, rebased: u32) -> bool {
        match self.publisher.options.certify {
            Certify::No => false,
            Certify::Once => rebased == 0,
            Certify::Always => true,
        }
    }

    /// Reads the commit back: every byte of its own tables, and all live entries of its family.
    /// Returns their digest. O(bytes of the family).
    pub(super) async fn read_back(&self, monitor: &Monitor) -> Result<ContentDigest, StoreError> {
        let base = self.publisher.base.commit.as_ref().map(crate::RemoteCommit::sequence);
        let tables = UnpublishedTables {
            store: self.publisher.store.clone(),
            base,
            family: self.change.family(),
            tables: self.tables.clone(),
            obsolete: self.change.obsolete().iter().copied().collect(),
            blobs: self.blob_records()?.into_iter().flatten().collect(),
        };
        tables.digest(monitor).await
    }
}

/// Tables in a bucket that no commit names yet, on top of a commit.
pub(super) struct UnpublishedTables {
    pub(super) store: Store,
    /// The newest commit; `None` if the tables are looked at for themselves.
    pub(super) base: Option<SequenceNumber>,
    pub(super) family: u32,
    /// The tables, oldest first.
    pub(super) tables: Vec<(SequenceNumber, SstMeta)>,
    /// Tables of the commit that they replace.
    pub(super) obsolete: Vec<SequenceNumber>,
    /// The blobs to which the tables refer.
    pub(super) blobs: Vec<BlobRecord>,
}

impl UnpublishedTables {
    /// Reads every byte of the tables, and all live entries of the family. Returns their digest.
    /// O(bytes of the family).
    pub(super) async fn digest(self, monitor: &Monitor) -> Result<ContentDigest, StoreError> {
        let monitor = monitor.clone();
        let read = move || {
            let Self { store, base, family, tables, obsolete, blobs } = self;
            let options = ReaderOptions::default()
                .access(Access::Read)
                .cache(BlockCache::new(CACHE_CAPACITY))
                .files(Arc::new(StoreFiles::new(&store)));
            let catalog = match base {
                None => Catalog::empty_with(store.name(), &options),
                Some(base) => {
                    let catalog = Catalog::read_with(store.name(), &options)?;
                    if catalog.commit != base {
                        // Another writer was faster. The certificate would be of another commit.
                        return Err(StoreError::Changed { object: store.object("CURRENT") });
                    }
                    catalog
                }
            };
            let catalog = catalog.followed_by(family, &tables, &obsolete, &blobs);
            for table in catalog.tables.iter().take(tables.len()) {
                let verified = catalog.open_table(table, &options)?.verify(&monitor)?;
                if let Some(damage) = verified.damage.into_iter().next() {
                    return Err(damage.into());
                }
            }
            let set = SstSet::from_catalog(catalog, family, &options);
            Ok(set.content_digest(&monitor)?)
        };
        blocking(read).await
    }
}
