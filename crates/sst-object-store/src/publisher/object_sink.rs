//! The output of a table writer: an object that is uploaded while it is written.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sst_writer::file::Sink;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::upload::Upload;
use crate::{Store, StoreError};

/// Sends the bytes of a table to the task that uploads them. It waits while too many pieces are
/// under way, so it must not be used on a thread of the runtime.
#[derive(Debug)]
pub(super) struct ObjectSink {
    buffer: BytesMut,
    piece_len: usize,
    pieces: mpsc::Sender<Piece>,
    uploaded: oneshot::Receiver<Result<(), StoreError>>,
}

/// A piece of an object. An object whose last piece does not come is given up.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    is_last: bool,
}

impl ObjectSink {
    /// An object and its upload, which has to be spawned. `places` are places in memory for pieces.
    /// The upload ends when the object is finished, or dropped: then its parts are removed.
    pub(super) fn new(
        store: &Store,
        name: String,
        piece_len: usize,
        places: Arc<Semaphore>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (pieces, receiver) = mpsc::channel(1);
        let (done, uploaded) = oneshot::channel();
        let store = store.clone();
        let upload = async move {
            let result = upload(&store, name, receiver, places).await;
            // A writer that was dropped does not ask for the result.
            _ = done.send(result);
        };
        (Self { buffer: BytesMut::new(), piece_len, pieces, uploaded }, upload)
    }

    fn send(&mut self, bytes: Bytes, is_last: bool) -> io::Result<()> {
        match self.pieces.blocking_send(Piece { bytes, is_last }) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure()),
        }
    }

    /// The error that has ended the upload.
    fn failure(&mut self) -> io::Error {
        match self.uploaded.try_recv() {
            Ok(Err(error)) => io::Error::other(error),
            _ => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl Sink for ObjectSink {
    type Output = ();

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        // One piece at least is left for the end, so that a small object has exactly one.
        while self.buffer.len() > self.piece_len {
            let piece = self.buffer.split_to(self.piece_len).freeze();
            self.send(piece, false)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let rest = self.buffer.split().freeze();
        self.send(rest, true)?;
        match self.uploaded.blocking_recv() {
            Ok(result) => result.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Uploads the pieces of an object.
async fn upload(
    store: &Store,
    name: String,
    mut pieces: mpsc::Receiver<Piece>,
    places: Arc<Semaphore>,
) -> Result<(), StoreError> {
    let mut upload: Option<Upload> = None;
    while let Some(Piece { bytes, is_last }) = pieces.recv().await {
        let started = match upload.take() {
            Some(started) => started,
            None => Upload::start(store, name.clone(), is_last).await?.of_new_number(),
        };
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.map_err(|_| StoreError::Internal("places in memory stay open"))?;
        let started = started.write(bytes, place).await?;
        if is_last {
            return started.finish().await;
        }
        upload = Some(started);
    }
    // The writer was dropped.
    if let Some(started) = upload {
        started.abort().await;
    }
    Ok(())
}
