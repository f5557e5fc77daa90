//! Temporary files for records that do not fit into memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::bulk_error::BulkError;
use crate::WriteError;
use crate::file::{FileError, FileOperation, FileSystem, NewFile};

/// The location of a piece in a spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpillLocation {
    /// The byte at which it starts.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) len: u32,
    /// CRC-32 of its bytes.
    pub(super) checksum: u32,
}

/// A temporary file that only grows. Its pieces are read back by their locations. It is created
/// with the first piece, and removed when it is dropped.
#[derive(Debug)]
pub(super) struct SpillFile {
    file_system: Arc<dyn FileSystem>,
    directory: Arc<Path>,
    state: RwLock<SpillState>,
}

#[derive(Debug, Default)]
struct SpillState {
    file: Option<Box<dyn NewFile>>,
    end: u64,
}

impl SpillFile {
    /// A file in `directory`, which must exist.
    pub(super) fn new(file_system: Arc<dyn FileSystem>, directory: Arc<Path>) -> Self {
        Self { file_system, directory, state: RwLock::default() }
    }

    /// Appends a piece. After an error the file must not be used any more.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<SpillLocation, BulkError> {
        let len = u32::try_from(bytes.len()).map_err(|_| BulkError::Internal("long piece"))?;
        let checksum = crc32fast::hash(bytes);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let SpillState { file, end } = &mut *state;
        let file = match file {
            Some(file) => file,
            None => {
                let new = self.file_system.create_temporary(&self.directory);
                file.insert(new.map_err(FileError::at(&self.directory, FileOperation::Create))?)
            }
        };
        file.write_all(bytes).map_err(FileError::at(&self.directory, FileOperation::Spill))?;
        let offset = *end;
        *end += u64::from(len);
        Ok(SpillLocation { offset, len, checksum })
    }

    /// Reads a piece into `out`, replacing its content, and verifies the checksum.
    pub(super) fn read(&self, location: SpillLocation, out: &mut Vec<u8>) -> Result<(), BulkError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let file = state.file.as_ref().ok_or(BulkError::Internal("empty spill file"))?;
        let len = location.len as usize;
        // The old content is overwritten, so it is not cleared first.
        out.truncate(len);
        let more = len - out.len();
        out.try_reserve_exact(more).map_err(|_| WriteError::out_of_memory(len))?;
        out.resize(len, 0);
        file.read_exact_at(out, location.offset)
            .map_err(FileError::at(&self.directory, FileOperation::ReadSpill))?;
        if crc32fast::hash(out) != location.checksum {
            return Err(BulkError::SpillDamaged {
                path: self.directory.to_path_buf(),
                offset: location.offset,
                len: location.len.into(),
            });
        }
        Ok(())
    }
}

/// The folder for the spill files of a load.
#[derive(Debug)]
pub(super) struct SpillSpace {
    file_system: Arc<dyn FileSystem>,
    directory: Arc<Path>,
    /// Whether the folder is removed at the end of the load.
    is_own: bool,
}

impl SpillSpace {
    /// Spills into `directory` itself, the directory of the load. Its next publisher removes the
    /// temporary files of a load that was killed.
    pub(super) fn within(file_system: Arc<dyn FileSystem>, directory: Arc<Path>) -> Self {
        Self { file_system, directory, is_own: false }
    }

    /// Spills into a folder of `parent` that belongs to loads into `target`. First removes the
    /// files that a killed load left there: only one load into a directory runs at a time, so no
    /// file in the folder is in use.
    pub(super) fn below(
        file_system: Arc<dyn FileSystem>,
        parent: &Path,
        target: &Path,
    ) -> Result<Self, FileError> {
        let target = file_system
            .canonicalize(target)
            .map_err(FileError::at(target, FileOperation::Inspect))?;
        let name = crate::hash_key(target.as_os_str().as_encoded_bytes());
        let directory = parent.join(format!(".sst-bulk-{name:016x}"));
        // From here on the folder is removed with `space`, whichever step fails.
        let space = Self { file_system, directory: directory.into(), is_own: true };
        let Self { file_system, directory, .. } = &space;
        let error = |operation| FileError::at(directory, operation);
        file_system.create_directory(directory).map_err(error(FileOperation::CreateDirectory))?;
        let left = file_system.list(directory).map_err(error(FileOperation::List))?;
        for file in left {
            let path: PathBuf = directory.join(file);
            file_system.remove(&path).map_err(FileError::at(&path, FileOperation::Remove))?;
        }
        Ok(space)
    }

    /// Another spill file in the folder.
    pub(super) fn file(&self) -> SpillFile {
        SpillFile::new(Arc::clone(&self.file_system), Arc::clone(&self.directory))
    }
}

impl Drop for SpillSpace {
    fn drop(&mut self) {
        if self.is_own {
            // If this fails, an empty folder stays, which the next load uses.
            _ = self.file_system.remove_directory(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::OsFileSystem;

    fn spill_file(directory: &Path) -> SpillFile {
        SpillFile::new(Arc::new(OsFileSystem), directory.into())
    }

    #[test]
    fn pieces_are_read_by_their_locations_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let file = spill_file(directory.path());
        let count = || std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(count(), 0);
        let pieces = [&b"first"[..], b"", b"the second one"];
        let locations = pieces.map(|piece| file.append(piece).unwrap());
        assert_eq!(count(), 1);
        let mut out = vec![1; 9];
        for (piece, location) in pieces.iter().zip(locations).rev() {
            file.read(location, &mut out).unwrap();
            assert_eq!(out, *piece);
        }
        drop(file);
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = spill_file(directory.path());
        let location = file.append(b"some bytes").unwrap();
        let path = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let mut out = Vec::new();
        for bit in 0..80 {
            let mut bytes = b"some bytes".to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let read = file.read(location, &mut out);
            assert!(matches!(read, Err(BulkError::SpillDamaged { offset: 0, len: 10, .. })));
        }
        std::fs::write(&path, b"some bytes").unwrap();
        file.read(location, &mut out).unwrap();
        std::fs::write(&path, b"some byte").unwrap();
        assert!(matches!(file.read(location, &mut out), Err(BulkError::File(_))));
    }

    #[test]
    fn what_a_killed_load_left_is_removed() {
        let (parent, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let space = || SpillSpace::below(Arc::new(OsFileSystem), parent.path(), target.path());
        let first = space().unwrap();
        std::fs::write(first.directory.join("left"), b"behind").unwrap();
        std::mem::forget(first);
        let second = space().unwrap();
        assert_eq!(std::fs::read_dir(&second.directory).unwrap().count(), 0);
        drop(second);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
