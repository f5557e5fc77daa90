//! A bucket as the place to which a load or a merge streams its tables and blobs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_writer::file::{RemoteFile, RemoteOutput, Sink};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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
    created: Arc<Mutex<Created>>,
}

/// What was written so far.
#[derive(Debug, Default)]
struct Created {
    /// The objects that are, or may be, there.
    names: Vec<FileName>,
    /// Their uploads.
    uploads: JoinSet<()>,
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

    /// The lists are valid whenever their lock is free, so those of a thread that panicked are too.
    fn created(&self) -> MutexGuard<'_, Created> {
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

    /// Removes all objects that were written, because nothing comes of them, and the parts of those
    /// that were dropped before they were complete. Objects that are still being written are waited
    /// for, so drop their writers first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; garbage collection removes the rest.
    pub async fn discard(&self) -> Result<(), StoreError> {
        let Created { names, uploads } = std::mem::take(&mut *self.created());
        uploads.join_all().await;
        self.remove(&names).await
    }
}

impl RemoteOutput for ObjectOutput {
    fn create(&self, kind: FileKind) -> io::Result<(SequenceNumber, Box<dyn RemoteFile>)> {
        let next = self.numbers.next(SequenceNumber(0));
        let sequence = self.runtime.block_on(next).map_err(io::Error::other)?;
        let name = FileName { sequence, kind };
        let places = Arc::clone(&self.places);
        let (sink, upload) = ObjectSink::new(&self.store, name.to_string(), self.piece_len, places);
        let mut created = self.created();
        created.names.push(name);
        created.uploads.spawn_on(upload, &self.runtime);
        // Those that have ended need not be waited for.
        while created.uploads.try_join_next().is_some() {}
        drop(created);
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
