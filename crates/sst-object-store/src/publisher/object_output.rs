//! A bucket as the place to which a load or a merge streams its tables and blobs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_writer::file::{RemoteFile, RemoteOutput, Sink};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::ObjectPublisherOptions;
use super::numbers::Numbers;
use super::object_sink::ObjectSink;
use crate::{Store, StoreError};

/// The bucket of an [`ObjectPublisher`](crate::ObjectPublisher), as the place to which
/// [`RemoteLoader`](sst_writer::bulk::RemoteLoader) and `sst_merge::merge_into_output` write while
/// they work: see [`ObjectCommit::output`](crate::ObjectCommit::output). A clone writes to the same
/// place.
///
/// It waits for requests, so it must not be used on a thread of the runtime.
#[derive(Clone, Debug)]
pub struct ObjectOutput {
    store: Store,
    numbers: Arc<Numbers>,
    places: Arc<Semaphore>,
    piece_len: usize,
    runtime: Handle,
    /// The objects that are, or may be, there.
    created: Arc<Mutex<Vec<FileName>>>,
}

/// An object that is being written.
#[derive(Debug)]
struct ObjectFile(ObjectSink);

impl ObjectOutput {
    pub(super) fn new(
        store: &Store,
        numbers: &Arc<Numbers>,
        places: &Arc<Semaphore>,
        options: &ObjectPublisherOptions,
    ) -> Self {
        Self {
            store: store.clone(),
            numbers: Arc::clone(numbers),
            places: Arc::clone(places),
            piece_len: options.piece_len.max(1),
            runtime: Handle::current(),
            created: Arc::default(),
        }
    }

    /// The list is valid whenever its lock is free, so that of a thread that panicked is too.
    fn created(&self) -> MutexGuard<'_, Vec<FileName>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes objects that no commit needs.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; garbage collection removes the rest.
    pub async fn remove(&self, files: &[FileName]) -> Result<(), StoreError> {
        for file in files {
            self.store.remove(&file.to_string()).await?;
        }
        Ok(())
    }

    /// Removes all objects that were written, because nothing comes of them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; garbage collection removes the rest.
    pub async fn discard(&self) -> Result<(), StoreError> {
        let created = std::mem::take(&mut *self.created());
        self.remove(&created).await
    }
}

impl RemoteOutput for ObjectOutput {
    fn create(&self, kind: FileKind) -> io::Result<(SequenceNumber, Box<dyn RemoteFile>)> {
        let next = self.numbers.next(SequenceNumber(0));
        let sequence = self.runtime.block_on(next).map_err(io::Error::other)?;
        let name = FileName { sequence, kind };
        self.created().push(name);
        let _in_runtime = self.runtime.enter();
        let places = Arc::clone(&self.places);
        let sink = ObjectSink::start(&self.store, name.to_string(), self.piece_len, places);
        Ok((sequence, Box::new(ObjectFile(sink))))
    }
}

impl RemoteFile for ObjectFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish()
    }
}
