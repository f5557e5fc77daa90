//! The place that a mirror writes to.

use std::collections::BTreeMap;

use bytes::Bytes;
use sst_format::SequenceNumber;
use sst_format::file_name::FileName;
use sst_format::monitor::Monitor;
use sst_writer::publish::ReplicaFile;

use super::MirrorOptions;
use super::bucket_target::BucketTarget;
use super::directory_target::{DirectoryTarget, append};
use super::gate::Permit;
use super::mirror_report::Tidied;
use crate::blocking::blocking;
use crate::upload::Upload;
use crate::{CommitFile, Place, RemoteCommit, Store, StoreError};

/// The place that a mirror writes to.
#[derive(Debug)]
pub(super) enum Target {
    Directory(DirectoryTarget),
    Bucket(BucketTarget),
}

/// A file of a target that is not complete yet.
#[derive(Debug)]
pub(super) enum TargetFile {
    Directory(ReplicaFile),
    Bucket(Upload),
}

impl Target {
    /// Opens a place for writing: locks a directory, or reads `CURRENT` of a bucket.
    /// Reads of a bucket end when the monitor is cancelled.
    pub(super) async fn open(
        place: &Place,
        options: &MirrorOptions,
        monitor: &Monitor,
    ) -> Result<Self, StoreError> {
        match place {
            Place::Directory(path) => {
                DirectoryTarget::open(path, options.repair).await.map(Self::Directory)
            }
            Place::Bucket(store) => {
                BucketTarget::open(&store.monitored(monitor)).await.map(Self::Bucket)
            }
        }
    }

    /// The place as a store that can be read.
    pub(super) const fn store(&self) -> &Store {
        match self {
            Self::Directory(target) => &target.store,
            Self::Bucket(target) => &target.store,
        }
    }

    /// Its newest commit.
    pub(super) async fn commit(&self) -> Result<Option<RemoteCommit>, StoreError> {
        match self {
            Self::Directory(target) => RemoteCommit::read(&target.store).await,
            Self::Bucket(target) => target.commit().await,
        }
    }

    /// The lengths of the numbered files that are there.
    pub(super) async fn present(&self) -> Result<BTreeMap<FileName, u64>, StoreError> {
        let present = match self {
            Self::Directory(target) => target.present().await?,
            Self::Bucket(target) => target.present().await?,
        };
        Ok(present.into_iter().collect())
    }

    /// Keeps other mirrors away from the names of these files.
    pub(super) async fn claim(
        &mut self,
        files: &[FileName],
        commit: &RemoteCommit,
        options: &MirrorOptions,
    ) -> Result<(), StoreError> {
        match self {
            // The directory is locked.
            Self::Directory(_) => Ok(()),
            Self::Bucket(target) => target.claim(files, commit, options).await,
        }
    }

    /// Removes files that the newest commit does not have.
    pub(super) async fn remove(&self, files: Vec<FileName>) -> Result<(), StoreError> {
        match self {
            Self::Directory(target) => target.remove(files).await,
            Self::Bucket(target) => {
                for file in files {
                    target.store.remove(&file.to_string()).await?;
                }
                Ok(())
            }
        }
    }

    /// Starts a file.
    pub(super) async fn create(
        &self,
        file: &CommitFile,
        piece_len: u64,
    ) -> Result<TargetFile, StoreError> {
        match self {
            Self::Directory(target) => target.create(file.name).await.map(TargetFile::Directory),
            Self::Bucket(target) => {
                let is_one_piece = file.len <= piece_len;
                let name = file.name.to_string();
                Upload::start(&target.store, name, is_one_piece).await.map(TargetFile::Bucket)
            }
        }
    }

    /// Writes a file whose bytes are in memory.
    pub(super) async fn put(&self, name: FileName, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Self::Directory(target) => {
                let file = append(target.create(name).await?, bytes).await?;
                blocking(move || Ok(file.finish()?)).await
            }
            Self::Bucket(_) => Err(StoreError::internal("a shard is copied to a directory")),
        }
    }

    /// Makes a shard's commit, whose files are all there, the newest, and ends the mirror.
    pub(super) async fn end_shard(
        self,
        sequence: SequenceNumber,
        checksum: u32,
        options: &MirrorOptions,
    ) -> Result<Tidied, StoreError> {
        match self {
            Self::Directory(target) => target.end(Some((sequence, checksum)), options).await,
            Self::Bucket(_) => Err(StoreError::internal("a shard is copied to a directory")),
        }
    }

    /// Makes a commit whose files are all there the newest, if there is one, and ends the mirror.
    pub(super) async fn end(
        self,
        commit: Option<&RemoteCommit>,
        options: &MirrorOptions,
    ) -> Result<Tidied, StoreError> {
        match self {
            Self::Directory(target) => {
                let commit = commit.map(|commit| (commit.sequence(), commit.checksum()));
                target.end(commit, options).await
            }
            Self::Bucket(target) => target.end(commit).await.map(|()| Tidied::default()),
        }
    }
}

impl TargetFile {
    /// Appends a piece.
    pub(super) async fn write(self, bytes: Bytes, permit: Permit) -> Result<Self, StoreError> {
        match self {
            Self::Directory(file) => {
                let file = append(file, bytes).await?;
                drop(permit);
                Ok(Self::Directory(file))
            }
            Self::Bucket(upload) => upload.write(bytes, permit).await.map(Self::Bucket),
        }
    }

    /// Gives the complete file its name.
    pub(super) async fn finish(self) -> Result<(), StoreError> {
        match self {
            Self::Directory(file) => blocking(move || Ok(file.finish()?)).await,
            Self::Bucket(upload) => upload.finish().await,
        }
    }

    /// Gives the file up.
    pub(super) async fn abort(self) {
        if let Self::Bucket(upload) = self {
            upload.abort().await;
        }
    }
}
