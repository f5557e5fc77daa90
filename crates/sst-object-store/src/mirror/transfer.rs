//! The copying and verifying of files.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sst_format::file_name::FileKind;
use tokio::task::JoinSet;

use super::gate::{Gate, Permit};
use super::local_copy::LocalCopy;
use super::plan::PlannedFile;
use super::target::Target;
use super::{MirrorOptions, MirrorReport};
use crate::check::FileCheck;
use crate::retry::is_passing;
use crate::{Store, StoreError};

/// Copies files from a source to a target. Every byte is checked against the commit on its way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) source: Store,
    pub(super) target: Arc<Target>,
    pub(super) options: MirrorOptions,
    pub(super) gate: Arc<Gate>,
}

/// Longest piece of a file that is read from the file system and not uploaded. Such a piece is
/// mostly still in the caches of the processor when it is checked and written: pieces of 8 MiB took
/// about twice as long.
const LOCAL_PIECE_LEN: u64 = 1 << 20;

/// A piece of a file, and its place in memory.
struct Piece {
    bytes: Bytes,
    permit: Permit,
}

impl Transfer {
    /// Reads files that are in the target, and returns those that are not as their commit states.
    pub(super) async fn verify(
        &self,
        files: Vec<PlannedFile>,
    ) -> Result<Vec<PlannedFile>, StoreError> {
        let checked = self.run(files, |this, planned| async move {
            match this.verify_file(&planned).await {
                Ok(()) => Ok(None),
                Err(error) if error.is_corruption() => Ok(Some(planned)),
                Err(error) => Err(error),
            }
        });
        Ok(checked.await?.into_iter().flatten().collect())
    }

    /// Copies files: tables and blobs first, then meta files.
    pub(super) async fn copy(
        &self,
        files: Vec<PlannedFile>,
        report: &mut MirrorReport,
    ) -> Result<(), StoreError> {
        report.copied_files += files.len() as u64;
        report.copied_bytes += files.iter().map(|planned| planned.file.len).sum::<u64>();
        let is_meta = |planned: &PlannedFile| planned.file.name.kind == FileKind::Meta;
        let (metas, contents) = files.into_iter().partition(is_meta);
        for files in [contents, metas] {
            self.run(files, |this, planned| async move { this.copy_file(&planned).await }).await?;
        }
        Ok(())
    }

    /// Runs an operation on each file, on several files at once. After the first error no other
    /// piece is read; the operations that run are waited for, so that none outlives this call.
    async fn run<T, F, R>(
        &self,
        files: Vec<PlannedFile>,
        operation: F,
    ) -> Result<Vec<T>, StoreError>
    where
        T: Send + 'static,
        F: Fn(Self, PlannedFile) -> R,
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let mut results = Vec::with_capacity(files.len());
        let mut failure = None;
        let mut running = JoinSet::new();
        let mut files = files.into_iter();
        loop {
            while failure.is_none() && running.len() < self.options.parallel.max(1) {
                let Some(planned) = files.next() else { break };
                running.spawn(operation(self.clone(), planned));
            }
            let Some(ended) = running.join_next().await else { break };
            match ended.unwrap_or(Err(StoreError::Internal("a task that copies a file ends"))) {
                Ok(result) => results.push(result),
                Err(error) => {
                    self.gate.close();
                    // Later errors may be consequences of the first.
                    failure = failure.or(Some(error));
                }
            }
        }
        failure.map_or(Ok(results), Err)
    }

    /// Copies a file. An upload that fails is started again, because a part of it cannot be
    /// repeated.
    async fn copy_file(&self, planned: &PlannedFile) -> Result<(), StoreError> {
        let mut attempt = 1;
        loop {
            let copied = self.copy_once(planned).await;
            match copied {
                Err(StoreError::Request { source, attempts: 1, .. })
                    if is_passing(source.inner())
                        && attempt < self.target.store().policy().attempts =>
                {
                    attempt += 1;
                }
                copied => return copied,
            }
        }
    }

    async fn copy_once(&self, planned: &PlannedFile) -> Result<(), StoreError> {
        let file = &planned.file;
        let object = || self.source.object(&file.name.to_string());
        let mut check = planned.described.check(file, &self.source).await?;
        let name = file.name.to_string();
        if let Target::Directory(target) = &*self.target
            && let Some(source) = self.source.open_local(&name)?
        {
            let copy = LocalCopy { store: self.source.clone(), name, source, check };
            let output = target.create(file.name).await?;
            return copy.run(file.len, output, Arc::clone(&self.gate)).await;
        }
        let piece_len = match *self.target {
            Target::Directory(_) => self.piece_len(file.len, &self.source),
            // Each piece is a part of an upload.
            Target::Bucket(_) => self.options.piece_len_of(file.len),
        };
        let mut output = self.target.create(file, piece_len).await?;
        let mut pieces = self.pieces(&self.source, planned, piece_len);
        while let Some(piece) = pieces.next().await {
            let Piece { bytes, permit } = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    output.abort().await;
                    return Err(error);
                }
            };
            if let Err(defect) = check.update(&bytes) {
                output.abort().await;
                return Err(defect.of(object()));
            }
            output = output.write(bytes, permit).await?;
        }
        if let Err(defect) = check.finish() {
            output.abort().await;
            return Err(defect.of(object()));
        }
        output.finish().await
    }

    /// Reads a file of the target, and checks it.
    async fn verify_file(&self, planned: &PlannedFile) -> Result<(), StoreError> {
        let file = &planned.file;
        let store = self.target.store();
        let object = || store.object(&file.name.to_string());
        let mut check: FileCheck = planned.described.check(file, store).await?;
        let piece_len = self.piece_len(file.len, store);
        let mut pieces = self.pieces(store, planned, piece_len);
        while let Some(piece) = pieces.next().await {
            check.update(&piece?.bytes).map_err(|defect| defect.of(object()))?;
        }
        check.finish().map_err(|defect| defect.of(object()))
    }

    /// The length of the pieces of a file of `store` that is uploaded nowhere.
    fn piece_len(&self, file_len: u64, store: &Store) -> u64 {
        let piece_len = self.options.piece_len_of(file_len);
        if store.is_directory() { piece_len.min(LOCAL_PIECE_LEN) } else { piece_len }
    }

    /// The pieces of a file in order. Later ones are read while the first is waited for.
    fn pieces<'a>(
        &'a self,
        store: &'a Store,
        planned: &PlannedFile,
        piece_len: u64,
    ) -> impl Stream<Item = Result<Piece, StoreError>> + Send + Unpin + use<'a> {
        let (name, len) = (planned.file.name.to_string(), planned.file.len);
        let count = len.div_ceil(piece_len);
        let read = move |index: u64| {
            let name = name.clone();
            async move {
                let start = index * piece_len;
                let end = len.min(start + piece_len);
                let permit = self.gate.enter(end - start).await?;
                let bytes = store.read_range(&name, start..end, len).await?;
                self.gate.arrived(end - start)?;
                Ok(Piece { bytes, permit })
            }
        };
        // Permits are given out in the order in which they were asked for. So the piece that is
        // waited for never waits for a permit that a later piece of the same file holds.
        futures_util::stream::iter(0..count)
            .map(read)
            .buffered(self.options.parallel.max(1))
            .boxed()
    }
}
