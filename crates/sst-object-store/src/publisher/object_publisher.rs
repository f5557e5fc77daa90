//! The publisher of a bucket.

use std::sync::Arc;
use std::time::Duration;

use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::MetaLimits;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};
use sst_writer::blob::encode_blob;
use sst_writer::publish::{CommitBase, JobId};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriterOptions};
use tokio::sync::Semaphore;

use super::numbers::Numbers;
use super::object_sink::ObjectSink;
use super::{ObjectCommit, ObjectTableWriter};
use crate::claims::Owner;
use crate::commit::{CurrentObject, Swap, replace_current};
use crate::upload::upload_bytes;
use crate::{RemoteCommit, Store, StoreError};

/// Options of an [`ObjectPublisher`]. Start from the default and change single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObjectPublisherOptions {
    /// Length of the pieces in which objects are uploaded, in bytes. S3 accepts no parts below 5
    /// MiB and at most 10,000 of them. Default: 8 MiB.
    pub piece_len: usize,
    /// Highest number of pieces that are under way at once. Default: 8.
    pub parallel: usize,
    /// Whether a commit that only adds tables, or whose merged tables are all still live, is made
    /// again on top of a commit of another writer. Its tables keep their names. Otherwise it fails
    /// with [`StoreError::Changed`]. Default: `true`.
    pub rebase: bool,
    /// Age at which the claims on numbers are renewed. Choose it shorter than the grace period of
    /// those who collect garbage. Default: 1 hour.
    pub claim_renewal: Duration,
    /// Whether commits are certified. Default: [`Certify::No`](super::Certify::No).
    #[cfg(feature = "read")]
    pub certify: super::Certify,
    /// Compression of blobs. Default: [`Compression::Lz4`].
    pub blob_compression: Compression,
    /// Limits of one meta file. Default: those of the format.
    pub meta_limits: MetaLimits,
}

impl Default for ObjectPublisherOptions {
    fn default() -> Self {
        Self {
            piece_len: 8 << 20,
            parallel: 8,
            rebase: true,
            claim_renewal: Duration::from_secs(60 * 60),
            #[cfg(feature = "read")]
            certify: super::Certify::No,
            blob_compression: Compression::default(),
            meta_limits: MetaLimits::default(),
        }
    }
}

impl ObjectPublisherOptions {
    /// Sets the length of the pieces.
    #[must_use]
    pub const fn piece_len(mut self, piece_len: usize) -> Self {
        self.piece_len = piece_len;
        self
    }

    /// Sets the age at which claims are renewed.
    #[must_use]
    pub const fn claim_renewal(mut self, age: Duration) -> Self {
        self.claim_renewal = age;
        self
    }

    /// Sets whether a commit is made again on top of a commit of another writer.
    #[must_use]
    pub const fn rebase(mut self, rebase: bool) -> Self {
        self.rebase = rebase;
        self
    }

    /// Sets whether commits are certified.
    #[cfg(feature = "read")]
    #[must_use]
    pub const fn certify(mut self, certify: super::Certify) -> Self {
        self.certify = certify;
        self
    }

    /// Sets the limits of one meta file.
    #[must_use]
    pub const fn meta_limits(mut self, meta_limits: MetaLimits) -> Self {
        self.meta_limits = meta_limits;
        self
    }
}

/// Publishes commits in a bucket, beside any number of other writers (FORMAT.md section 14).
///
/// A commit happens whole or not at all: its tables and blobs are uploaded under numbers that this
/// writer has claimed, then its meta files are created, then `CURRENT` is replaced if it is still
/// the one that the commit continues. Of two writers one loses: its commit is made again on top of
/// the other's, or fails with [`StoreError::Changed`].
///
/// Objects of commits that did not happen, or were replaced, stay until
/// [`collect_garbage`](crate::collect_garbage) removes them.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use object_store::memory::InMemory;
/// use sst_object_store::{Monitor, ObjectPublisher, ObjectPublisherOptions, Store, StoreError};
/// use sst_writer::WriterOptions;
///
/// # tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(async {
/// let store = Store::new(Arc::new(InMemory::new()), "memory:///", "fruit.db")?;
/// let mut publisher = ObjectPublisher::new(&store, ObjectPublisherOptions::default())?;
/// let mut commit = publisher.begin(0).await?;
/// let mut table = commit.create_table(WriterOptions::default()).await?;
/// // A table waits for its upload, so it is written away from the threads of the runtime.
/// let written = tokio::task::spawn_blocking(move || {
///     table.add(("apple", "red"))?;
///     table.finish()
/// });
/// commit.add_table(written.await.expect("no panic")?);
/// let info = commit.publish(&Monitor::default()).await?;
/// assert_eq!(publisher.current(), Some(info.commit));
/// # Ok::<(), StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ObjectPublisher {
    pub(super) store: Store,
    pub(super) options: ObjectPublisherOptions,
    pub(super) numbers: Arc<Numbers>,
    /// Places in memory for pieces.
    pub(super) places: Arc<Semaphore>,
    pub(super) base: Base,
}

/// The commit that the next one continues.
#[derive(Debug)]
pub(super) struct Base {
    current: Option<CurrentObject>,
    pub(super) commit: Option<RemoteCommit>,
    pub(super) state: CommitBase,
}

impl ObjectPublisher {
    /// A publisher of a bucket. Makes no request yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`].
    pub fn new(store: &Store, options: ObjectPublisherOptions) -> Result<Self, StoreError> {
        Self::with_owner(store, JobId::random().new_owner(), options)
    }

    /// As [`ObjectPublisher::new`], with the owner of the claims.
    pub(super) fn with_owner(
        store: &Store,
        owner: u64,
        options: ObjectPublisherOptions,
    ) -> Result<Self, StoreError> {
        store.check_writable()?;
        let owner = Owner::Publisher(owner);
        Ok(Self {
            store: store.clone(),
            numbers: Arc::new(Numbers::new(store, owner, options.claim_renewal)),
            places: Arc::new(Semaphore::new(options.parallel.max(1))),
            base: Base::empty(store),
            options,
        })
    }

    /// The newest commit, as of the last commit of this publisher or the last
    /// [`ObjectPublisher::begin`]. `None` if there is none.
    #[must_use]
    pub const fn current(&self) -> Option<SequenceNumber> {
        match &self.base.current {
            Some(current) => Some(current.sequence),
            None => None,
        }
    }

    /// The live tables of that commit with their families, those of older meta files first.
    pub fn live_tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.base.state.live_tables()
    }

    /// Starts a commit of a family on top of the newest commit, which is read if it is another than
    /// before.
    ///
    /// # Errors
    ///
    /// As [`RemoteCommit::read`].
    pub async fn begin(&mut self, family: u32) -> Result<ObjectCommit<'_>, StoreError> {
        self.refresh().await?;
        Ok(ObjectCommit::new(self, family))
    }

    /// Ends the publisher, and releases its claims on numbers: objects under them that no commit
    /// names are garbage from now on. Those of a publisher that is dropped are released by the end
    /// of the grace period.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; the grace period releases the claims then.
    pub async fn close(self) -> Result<(), StoreError> {
        self.numbers.release().await
    }

    /// Starts a table.
    pub(super) async fn create_table(
        &self,
        options: WriterOptions,
    ) -> Result<ObjectTableWriter, StoreError> {
        let sequence = self.numbers.next(SequenceNumber(0)).await?;
        let name = FileName { sequence, kind: FileKind::Sst }.to_string();
        let piece_len = self.options.piece_len.max(1);
        let places = Arc::clone(&self.places);
        let (sink, upload) = ObjectSink::new(&self.store, name, piece_len, places);
        tokio::spawn(upload);
        Ok(ObjectTableWriter::new(StreamingSstWriter::new(sink, options), sequence))
    }

    /// Uploads a blob.
    pub(super) async fn create_blob(&self, value: &[u8]) -> Result<BlobRecord, StoreError> {
        let (blob, bytes) = encode_blob(value, self.options.blob_compression)?;
        let sequence = self.numbers.next(SequenceNumber(0)).await?;
        self.put(FileName { sequence, kind: FileKind::Blob }, bytes).await?;
        let number = BlobNumber(sequence.0);
        Ok(BlobRecord { number, file_size: blob.file_size, header: blob.header })
    }

    /// Uploads an object whose bytes are in memory.
    pub(super) async fn put(&self, name: FileName, bytes: Vec<u8>) -> Result<(), StoreError> {
        let piece_len = self.options.piece_len.max(1);
        let name = name.to_string();
        upload_bytes(&self.store, name, bytes.into(), piece_len, &self.places).await
    }

    /// Reads the newest commit.
    pub(super) async fn refresh(&mut self) -> Result<(), StoreError> {
        self.base = Base::read(&self.store).await?;
        if let Some(newest) = self.current() {
            self.numbers.note_newest(newest).await;
        }
        Ok(())
    }

    /// Replaces `CURRENT` by that of commit `sequence`, if it is the one that the base was read
    /// with.
    pub(super) async fn replace_current(
        &self,
        sequence: SequenceNumber,
    ) -> Result<Swap, StoreError> {
        replace_current(&self.store, self.base.current.as_ref(), sequence).await
    }
}

impl Base {
    fn empty(store: &Store) -> Self {
        Self { current: None, commit: None, state: CommitBase::empty(store.name()) }
    }

    async fn read(store: &Store) -> Result<Self, StoreError> {
        let Some(current) = CurrentObject::read(store).await? else {
            return Ok(Self::empty(store));
        };
        let commit = RemoteCommit::read_at(store, current.sequence).await?;
        let state = commit.base();
        Ok(Self { current: Some(current), commit: Some(commit), state })
    }
}
