//! Makes every build start in the same state of the machine, whatever ran before it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::store::BenchError;

/// Bytes of one write: as many as our writer's, so that Linux keeps them in pieces of memory of
/// that size.
const PIECE: usize = 2 << 20;

/// Bytes that files and buffers take beyond the data itself.
const BESIDE: usize = 16 << 20;

/// Makes memory ready for files with `len` bytes of data: writes as many and some more to a file in
/// `dir`, and removes it.
///
/// A virtual machine returns freed memory to its host, and the next process that touches it waits
/// until the host gives it back, for up to ten times as long as writing takes. Memory that was
/// freed just now has not been returned yet.
pub(super) fn warm_memory(dir: &Path, len: usize) -> Result<(), BenchError> {
    let path = dir.join("warm");
    let mut file = File::create(&path)?;
    let piece = vec![7; PIECE];
    let mut left = len + len / 4 + BESIDE;
    while left > 0 {
        let (piece, _) = piece.split_at(left.min(PIECE));
        file.write_all(piece)?;
        left -= piece.len();
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(())
}

/// Waits until everything written before is on disk. While too much of it is not, Linux makes
/// writers wait, and one contender's time on the wall would contain the bytes of another.
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
        for len in [0, 1, PIECE, 2 * PIECE + 1] {
            warm_memory(dir.path(), len).unwrap();
            assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        }
    }
}
