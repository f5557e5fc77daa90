//! The copying of a file from one directory of the file system to another.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

use sst_writer::publish::ReplicaFile;
use tokio::runtime::Handle;

use super::gate::Gate;
use crate::blocking::blocking;
use crate::check::FileCheck;
use crate::{Store, StoreError};

/// Bytes that are copied at a time. They stay in the cache of a processor while they are checked
/// and written.
const PIECE_LEN: usize = 256 << 10;

/// A file of one directory on its way to another. One thread reads, checks and writes it: to hand
/// pieces of a file from thread to thread, and to open it for each piece, took longer than to copy
/// them.
pub(super) struct LocalCopy {
    pub(super) store: Store,
    /// The name of the file.
    pub(super) name: String,
    pub(super) source: File,
    pub(super) check: FileCheck,
}

impl LocalCopy {
    /// Copies a file of `len` bytes, and gives the copy its name.
    pub(super) async fn run(
        self,
        len: u64,
        output: ReplicaFile,
        gate: Arc<Gate>,
    ) -> Result<(), StoreError> {
        let runtime = Handle::current();
        blocking(move || self.copy(len, output, &gate, &runtime)).await
    }

    fn copy(
        self,
        len: u64,
        mut output: ReplicaFile,
        gate: &Gate,
        runtime: &Handle,
    ) -> Result<(), StoreError> {
        let Self { store, name, mut source, mut check } = self;
        let failed = |error| store.local_failed(&name, error);
        let found = source.metadata().map_err(failed)?.len();
        let wrong_len =
            |found| StoreError::WrongLen { object: store.object(&name), expected: len, found };
        if found != len {
            return Err(wrong_len(found));
        }
        let mut buffer = vec![0; PIECE_LEN];
        let mut rest = len;
        while rest > 0 {
            // A rest that does not fit `usize` is longer than the buffer.
            let piece_len = usize::try_from(rest).map_or(PIECE_LEN, |rest| rest.min(PIECE_LEN));
            let permit = runtime.block_on(gate.enter(piece_len as u64))?;
            let (piece, _) = buffer.split_at_mut(piece_len);
            match source.read_exact(piece) {
                // It was cut meanwhile.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(wrong_len(source.metadata().map_err(failed)?.len()));
                }
                read => read.map_err(failed)?,
            }
            gate.arrived(piece_len as u64)?;
            check.update(piece).map_err(|defect| defect.of(store.object(&name)))?;
            output.write(piece)?;
            drop(permit);
            rest -= piece_len as u64;
        }
        check.finish().map_err(|defect| defect.of(store.object(&name)))?;
        Ok(output.finish()?)
    }
}
