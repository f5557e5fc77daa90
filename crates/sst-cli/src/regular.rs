//! Files that a command reads as a whole: regular ones, and no more of them than they may have.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Longest file of a command's own, in bytes: a manifest of shards, a certificate.
pub(crate) const MAX_TEXT_LEN: u64 = 64 << 20;

/// Opens a regular file. Anything else is refused, and never waited for: opening a pipe would block
/// until a writer comes.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let refuse_special = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    refuse_special(fs::metadata(path)?)?;
    let file = File::open(path)?;
    // Another file may have the name since.
    refuse_special(file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `max_len` bytes.
pub(crate) fn read(path: &Path, max_len: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let len = file.metadata()?.len();
    read_at_most(file, len, max_len)
}

/// Reads at most `max_len` bytes, about `expected_len` of them; more are an error.
pub(crate) fn read_at_most(
    from: impl Read,
    expected_len: u64,
    max_len: u64,
) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "the file is too long");
    if expected_len > max_len {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let capacity = usize::try_from(expected_len).map_err(|_| too_long())?;
    bytes.try_reserve_exact(capacity)?;
    from.take(max_len.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_len { Err(too_long()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        assert_eq!(read(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // A file that grows while it is read.
        assert_eq!(read_at_most(&[7; 100][..], 50, 100).unwrap(), [7; 100]);
        assert!(read_at_most(&[7; 101][..], 50, 100).is_err());
        assert!(read(scratch.path(), 100).is_err());
    }
}
