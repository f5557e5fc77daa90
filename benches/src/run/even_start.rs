//! Makes every build start with the machine in the same state, whatever ran before.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::store::BenchError;

/// Number of bytes of one write: large, so that Linux allocates the page cache of the file in large
/// pieces of memory.
const WRITE_LEN: usize = 2 << 20;

/// Number of bytes that files and buffers need in addition to the data.
const OVERHEAD: usize = 16 << 20;

/// Prepares memory for files with `len` bytes of data: writes a file of a somewhat larger size to
/// `dir`, and removes it.
///
/// A virtual machine returns freed memory to its host. The next process that touches this memory
/// waits until the host provides it again, for up to ten times as long as the write itself takes.
/// Memory that was freed only a moment ago has not been returned yet.
pub(super) fn warm_memory(dir: &Path, len: usize) -> Result<(), BenchError> {
    let path = dir.join("warm");
    let mut file = File::create(&path)?;
    let piece = vec![7; WRITE_LEN];
    let mut left = len + len / 4 + OVERHEAD;
    while left > 0 {
        let (piece, _) = piece.split_at(left.min(WRITE_LEN));
        file.write_all(piece)?;
        left -= piece.len();
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(())
}

/// Waits until everything that was written before is on disk. If too much is not, Linux makes
/// writers wait, and the wall-clock time of one contender would include the writes of another.
pub(super) fn write_back() {
    #[cfg(target_os = "linux")]
    rustix::fs::sync();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warming_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0, 1, WRITE_LEN, 2 * WRITE_LEN + 1] {
            warm_memory(dir.path(), len).unwrap();
            assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        }
    }
}
