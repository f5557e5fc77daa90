//! A directory that commits are copied to.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sst_format::SequenceNumber;
use sst_format::file_name::FileName;
use sst_writer::publish::{Replica, ReplicaFile};
use sst_writer::{PublishError, PublisherOptions};

use super::MirrorOptions;
use super::mirror_report::Tidied;
use crate::blocking::blocking;
use crate::{Store, StoreError};

/// A directory that commits are copied to. It is locked.
#[derive(Debug)]
pub(super) struct DirectoryTarget {
    replica: Arc<Replica>,
    pub(super) store: Store,
    /// Whether files of the newest commit whose bytes are wrong are replaced.
    repair: bool,
}

impl DirectoryTarget {
    /// Locks the directory, which is created if it is missing.
    pub(super) async fn open(directory: &Path, repair: bool) -> Result<Self, StoreError> {
        let path = directory.to_owned();
        let open = move || Ok(Replica::open(path, &PublisherOptions::default())?);
        let replica = Arc::new(blocking(open).await?);
        let store = Store::from_directory(directory)?;
        Ok(Self { replica, store, repair })
    }

    /// The numbered files that are there, and their lengths.
    pub(super) async fn present(&self) -> Result<Vec<(FileName, u64)>, StoreError> {
        let replica = Arc::clone(&self.replica);
        blocking(move || Ok(replica.present()?)).await
    }

    pub(super) async fn create(&self, name: FileName) -> Result<ReplicaFile, StoreError> {
        let (replica, repair) = (Arc::clone(&self.replica), self.repair);
        blocking(move || {
            Ok(match repair {
                true => replica.create_again(name)?,
                false => replica.create(name)?,
            })
        })
        .await
    }

    /// Removes files that the newest commit does not have.
    pub(super) async fn remove(&self, files: Vec<FileName>) -> Result<(), StoreError> {
        let replica = Arc::clone(&self.replica);
        blocking(move || Ok(replica.remove(&files)?)).await
    }

    /// Makes a commit whose files are all there the newest, if there is one, given by its number
    /// and the checksum of its newest meta file. Then removes the files that no commit needs.
    pub(super) async fn end(
        self,
        commit: Option<(SequenceNumber, u32)>,
        options: &MirrorOptions,
    ) -> Result<Tidied, StoreError> {
        let options = PublisherOptions::default().keep_generations(options.keep_generations);
        let mut replica = Arc::into_inner(self.replica)
            .ok_or_else(|| StoreError::internal("all files are finished when a mirror ends"))?;
        blocking(move || {
            if let Some((sequence, checksum)) = commit {
                replica.publish(sequence, checksum)?;
            }
            Ok(match replica.tidy(options) {
                Ok(not_removed) => Tidied { not_removed, error: None },
                // Another writer has locked the directory in between, and removes them itself.
                Err(PublishError::Locked { .. }) => Tidied::default(),
                Err(error) => Tidied { not_removed: Vec::new(), error: Some(error) },
            })
        })
        .await
    }
}

/// Appends bytes to a file, away from the threads of the runtime.
pub(super) async fn append(mut file: ReplicaFile, bytes: Bytes) -> Result<ReplicaFile, StoreError> {
    blocking(move || {
        file.write(bytes)?;
        Ok(file)
    })
    .await
}
