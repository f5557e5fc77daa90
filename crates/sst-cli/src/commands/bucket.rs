//! Commits to a bucket. Their tables and blobs are uploaded while they are written.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_merge::RemoteMerge;
use sst_object_store::{
    AdoptOptions, AdoptedFragment, Certify, ObjectCommitInfo, ObjectPublisher,
    ObjectPublisherOptions, Place, Store, StoreError, block_on,
};
use sst_writer::bulk::RemoteLoad;
use sst_writer::file::{RemoteFile, RemoteOutput};
use sst_writer::publish::TaskTable;

use super::interrupt;
use super::mode_arg::Mode;
use super::replaced::Replaced;
use crate::error::CliError;

/// The commit to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketCommit {
    pub(super) family: u32,
    pub(super) mode: Mode,
    pub(super) certify: bool,
    /// Whether what is written goes nowhere, and nothing is published.
    pub(super) dry_run: bool,
}

/// Tables and blobs in a bucket that no commit names yet.
#[derive(Default)]
pub(super) struct WrittenObjects {
    tables: Vec<TaskTable>,
    blobs: Vec<BlobRecord>,
    /// Blobs to which no table refers.
    unused: Vec<FileName>,
}

impl From<&mut RemoteLoad> for WrittenObjects {
    fn from(load: &mut RemoteLoad) -> Self {
        Self {
            tables: std::mem::take(&mut load.tables),
            blobs: std::mem::take(&mut load.blobs),
            unused: std::mem::take(&mut load.unused),
        }
    }
}

impl From<&mut RemoteMerge> for WrittenObjects {
    fn from(merge: &mut RemoteMerge) -> Self {
        Self {
            tables: std::mem::take(&mut merge.tables),
            blobs: std::mem::take(&mut merge.blobs),
            unused: Vec::new(),
        }
    }
}

/// The output of a dry run: its files go nowhere.
#[derive(Debug, Default)]
struct Discarded(AtomicU32);

#[derive(Debug)]
struct DiscardedFile;

impl RemoteOutput for Discarded {
    fn create(&self, _: FileKind) -> io::Result<(SequenceNumber, Box<dyn RemoteFile>)> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok((SequenceNumber(number), Box::new(DiscardedFile)))
    }
}

impl RemoteFile for DiscardedFile {
    fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// The bucket of a URL.
pub(super) fn bucket(url: &Path) -> Result<Store, CliError> {
    let not_a_bucket = || CliError::Usage(format!("{}: not a bucket", url.display()));
    match Place::from_url(url.to_str().ok_or_else(not_a_bucket)?)? {
        Place::Bucket(store) => Ok(store),
        Place::Directory(_) => Err(not_a_bucket()),
    }
}

/// The options of all commands that publish in a bucket.
pub(super) fn options() -> ObjectPublisherOptions {
    ObjectPublisherOptions::default()
}

impl BucketCommit {
    /// The entries that this commit replaces, to be asked before it is made.
    pub(super) fn replaced(&self, url: &Path) -> Result<Option<Replaced>, CliError> {
        match self.mode {
            Mode::Replace => Replaced::of_bucket(url, self.family),
            Mode::Append => Ok(None),
        }
    }

    fn publisher(&self, store: &Store) -> Result<ObjectPublisher, StoreError> {
        let certify = if self.certify { Certify::Always } else { Certify::No };
        ObjectPublisher::new(store, options().certify(certify))
    }

    /// Runs `write`, which writes to the bucket, and publishes what it has written as one commit.
    /// `None` without a commit in a dry run. If it fails, what was written is removed.
    pub(super) fn publish<T>(
        &self,
        store: &Store,
        write: impl FnOnce(Arc<dyn RemoteOutput>) -> Result<(T, WrittenObjects), CliError>,
    ) -> Result<(T, Option<ObjectCommitInfo>), CliError> {
        let monitor = interrupt::monitor();
        let published = block_on(async {
            let mut publisher = self.publisher(store)?;
            let mut commit = publisher.begin(self.family).await?;
            if self.mode == Mode::Replace {
                commit.replace_all();
            }
            if self.dry_run {
                let written = commit.write_blocking(|_| write(Arc::new(Discarded::default())))?;
                return Ok(written.map(|(value, _)| (value, None)));
            }
            let output = commit.output();
            let written = commit.write_blocking(|output| write(Arc::new(output.clone())))?;
            let (value, objects) = match written {
                Ok(written) => written,
                Err(error) => {
                    // What stays is garbage, or a claim that ends by its age, and the error of the
                    // load is what is told.
                    _ = output.discard().await;
                    drop(commit);
                    _ = publisher.close().await;
                    return Ok(Err(error));
                }
            };
            let WrittenObjects { tables, blobs, unused } = objects;
            commit.add_written(tables, blobs);
            // They are garbage until then, and so they are if they stay.
            _ = output.remove(&unused).await;
            let info = match commit.publish(&monitor).await {
                // Nothing of it is visible, or will be.
                Err(error @ (StoreError::Changed { .. } | StoreError::Cancelled)) => {
                    _ = output.discard().await;
                    return Err(error);
                }
                info => info?,
            };
            // The commit is live. A claim that stays costs nothing but time.
            _ = publisher.close().await;
            Ok(Ok((value, Some(info))))
        });
        published?
    }

    /// Adopts fragments, and publishes them as one commit. `adopted` is called after each.
    pub(super) fn adopt(
        &self,
        store: &Store,
        fragments: &[Place],
        options: &AdoptOptions,
        mut adopted: impl FnMut(AdoptedFragment),
    ) -> Result<ObjectCommitInfo, CliError> {
        let monitor = interrupt::monitor();
        let published = block_on(async {
            let mut publisher = self.publisher(store)?;
            let mut commit = publisher.begin(self.family).await?;
            if self.mode == Mode::Replace {
                commit.replace_all();
            }
            for fragment in fragments {
                adopted(commit.adopt(fragment, options, &monitor).await?);
            }
            let info = commit.publish(&monitor).await?;
            // The commit is live. A claim that stays costs nothing but time.
            _ = publisher.close().await;
            Ok(info)
        });
        Ok(published?)
    }
}
