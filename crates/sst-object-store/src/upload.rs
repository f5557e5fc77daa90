//! The upload of an object.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::retry::is_passing;
use crate::store::{ObjectStart, Written};
use crate::{Store, StoreError};

/// An object that is being written. It appears whole when it is finished, or not at all.
///
/// A store keeps the parts of an upload until it is completed or aborted, and bills them. So an
/// upload that fails is aborted here, and the owner of one that is given up for another reason
/// calls [`Upload::abort`].
#[derive(Debug)]
pub(crate) struct Upload {
    store: Store,
    name: String,
    state: UploadState,
    /// Whether no object of this name was written before: its number is newly claimed.
    is_new_number: bool,
}

#[derive(Debug)]
enum UploadState {
    /// An object of one piece.
    Whole(Bytes),
    /// An object of several pieces, each of which is a part.
    Parts {
        upload: Box<dyn MultipartUpload>,
        parts: JoinSet<object_store::Result<()>>,
        /// Bytes that were added.
        len: u64,
    },
}

impl Upload {
    /// Starts an object of one piece, or of several.
    pub(crate) async fn start(
        store: &Store,
        name: String,
        is_one_piece: bool,
    ) -> Result<Self, StoreError> {
        let state = match is_one_piece {
            true => UploadState::Whole(Bytes::new()),
            false => UploadState::Parts {
                upload: store.upload(&name).await?,
                parts: JoinSet::new(),
                len: 0,
            },
        };
        Ok(Self { store: store.clone(), name, state, is_new_number: false })
    }

    /// Tells that no object of this name was written before.
    pub(crate) fn of_new_number(self) -> Self {
        Self { is_new_number: true, ..self }
    }

    /// Adds a piece. Its place in memory is free when it has been sent.
    pub(crate) async fn write(
        mut self,
        bytes: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        match self.add(bytes, permit) {
            Ok(()) => Ok(self),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    /// Starts to send a piece. Fails if one of those before has failed.
    fn add(&mut self, bytes: Bytes, permit: OwnedSemaphorePermit) -> Result<(), StoreError> {
        match &mut self.state {
            UploadState::Whole(whole) => *whole = bytes,
            UploadState::Parts { upload, parts, len } => {
                *len += bytes.len() as u64;
                let part = upload.put_part(PutPayload::from(bytes));
                parts.spawn(async move {
                    let sent = part.await;
                    drop(permit);
                    sent
                });
                while let Some(sent) = parts.try_join_next() {
                    joined(&self.store, &self.name, sent)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the object appear under its name.
    pub(crate) async fn finish(mut self) -> Result<(), StoreError> {
        let completed = self.complete().await;
        if completed.is_err() {
            self.abort().await;
        }
        completed
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        let Self { store, name, state, is_new_number } = self;
        match state {
            UploadState::Whole(bytes) => write_whole(store, name, std::mem::take(bytes)).await,
            UploadState::Parts { upload, parts, len } => {
                while let Some(sent) = parts.join_next().await {
                    joined(store, name, sent)?;
                }
                match upload.complete().await {
                    Ok(_) => Ok(()),
                    // If only the answer was lost, the object is there.
                    Err(error)
                        if *is_new_number
                            && is_passing(&error)
                            && store.len_of(name).await? == Some(*len) =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(store.upload_failed(name, error)),
                }
            }
        }
    }

    /// Gives the object up.
    pub(crate) async fn abort(self) {
        if let UploadState::Parts { mut upload, mut parts, .. } = self.state {
            parts.shutdown().await;
            // The first error is reported. The store's own rules remove parts that stay.
            _ = upload.abort().await;
        }
    }
}

fn joined(
    store: &Store,
    name: &str,
    sent: Result<object_store::Result<()>, tokio::task::JoinError>,
) -> Result<(), StoreError> {
    let sent = sent.unwrap_or_else(|error| Err(error.into()));
    sent.map_err(|error| store.upload_failed(name, error))
}

/// Writes an object of one piece: as a new one or, if there is an object of that name with other
/// bytes, in its place. The writer has a claim on the name, so an object that is there is left over
/// from an earlier writer.
async fn write_whole(store: &Store, name: &str, bytes: Bytes) -> Result<(), StoreError> {
    if let Written::Done(_) = store.create(name, bytes.clone()).await? {
        return Ok(());
    }
    let is_ours = |found: &ObjectStart| found.len == bytes.len() as u64 && found.bytes == bytes;
    let found = store.read_start(name, bytes.len() as u64).await;
    let found = found.map_err(|error| changed_if_missing(store, name, error))?;
    if is_ours(&found) {
        return Ok(());
    }
    if let Written::Done(_) = store.update(name, bytes.clone(), found.version).await? {
        return Ok(());
    }
    let found = store.read_start(name, bytes.len() as u64).await;
    match found.map_err(|error| changed_if_missing(store, name, error))? {
        found if is_ours(&found) => Ok(()),
        _ => Err(StoreError::Changed { object: store.object(name) }),
    }
}

/// An object that was there a moment ago, and now is missing, was changed by another writer.
fn changed_if_missing(store: &Store, name: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Missing { .. } => StoreError::Changed { object: store.object(name) },
        error => error,
    }
}

/// Writes an object whose bytes are in memory.
pub(crate) async fn upload_bytes(
    store: &Store,
    name: String,
    bytes: Bytes,
    piece_len: usize,
    places: &Arc<Semaphore>,
) -> Result<(), StoreError> {
    let mut upload = Upload::start(store, name, bytes.len() <= piece_len).await?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = rest.split_to(piece_len.min(rest.len()));
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.map_err(|_| StoreError::Internal("places in memory stay open"))?;
        upload = upload.write(piece, place).await?;
    }
    upload.finish().await
}
