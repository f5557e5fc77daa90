//! Commits to a bucket, which are written to a temporary directory first.
//!
//! The files get their numbers when they are uploaded: a writer of a bucket claims numbers in
//! blocks, and how many a command needs is known at its end.

use std::path::{Path, PathBuf};

use sst_object_store::{
    AdoptOptions, Certify, ObjectCommitInfo, ObjectPublisher, ObjectPublisherOptions, Place, Store,
    StoreError, block_on,
};
use tempfile::TempDir;

use super::interrupt;
use super::mode_arg::Mode;
use crate::error::CliError;

/// A temporary directory for a commit to a bucket. It is removed when it is dropped.
pub(super) struct Staged {
    parent: TempDir,
    store: Store,
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

impl Staged {
    /// Creates the directory in `parent`, or among the system's temporary files.
    pub(super) fn new(url: &Path, parent: Option<&Path>) -> Result<Self, CliError> {
        let store = bucket(url)?;
        // Checked before any work is done.
        ObjectPublisher::new(&store, options())?;
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let created = tempfile::Builder::new().prefix(".sst-bucket-").tempdir_in(&parent);
        let created =
            created.map_err(|error| CliError::io("create a directory in", &parent, error));
        Ok(Self { parent: created?, store })
    }

    /// The directory to write to.
    pub(super) fn directory(&self) -> PathBuf {
        self.parent.path().join("db")
    }

    /// Publishes what was written as one commit of a family.
    pub(super) fn publish(
        self,
        family: u32,
        mode: Mode,
        certify: bool,
    ) -> Result<ObjectCommitInfo, CliError> {
        let options = options().certify(if certify { Certify::Always } else { Certify::No });
        let (place, monitor) = (Place::Directory(self.directory()), interrupt::monitor());
        let published = block_on(async {
            let mut publisher = ObjectPublisher::new(&self.store, options)?;
            let mut commit = publisher.begin(family).await?;
            if mode == Mode::Replace {
                commit.replace_all();
            }
            commit.adopt(&place, &AdoptOptions::default(), &monitor).await?;
            let info = commit.publish(&monitor).await?;
            // The commit is live. A claim that stays costs nothing but time.
            _ = publisher.close().await;
            Ok::<_, StoreError>(info)
        });
        Ok(published?)
    }
}
