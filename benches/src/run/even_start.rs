//! What makes every build start alike, whatever was done before it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::store::BenchError;

/// Bytes that are written at once: as many as our writer does, so that Linux keeps them in pieces of memory as large as its.
const PIECE: usize = 2 << 20;

/// Beside the data itself: what the files have more than it, and buffers.
const BESIDE: usize = 16 << 20;

/// Makes memory ready for files with `len` bytes of data: writes as many and some more to a file in `dir`, and removes it.
///
/// A virtual machine gives memory that it has freed back to its host, and whoever touches it next pays for getting it again,
/// up to ten times what writing takes. What was freed just now is still here.
pub(super) fn warm_memory(dir: &Path, len: usize) -> Result<(), BenchError> {
    let path = dir.join("warm");
    let mut file = File::create(&path)?;
    let piece = vec![7; PIECE];
    let mut left = len + len / 4 + BESIDE;
    while left > 0 {
        let piece = piece.get(..left).unwrap_or(&piece);
        file.write_all(piece)?;
        left -= piece.len();
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(())
}

/// Waits until everything written before is on disk. While too much is not, Linux makes those who write wait, and what is
/// measured on the wall would be what others have written.
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
