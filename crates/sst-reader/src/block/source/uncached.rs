//! Reading a file past the caches: for a second opinion on bytes that are wrong.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::positioned::PositionedFile;
use super::regular::open_regular;

/// Bytes read once more.
pub(crate) struct Reread {
    pub(crate) bytes: Vec<u8>,
    /// Whether they come from the device, not from the system's cache.
    pub(crate) is_from_device: bool,
}

/// Reads a range of the file at `path` again: from the device where the system offers that, else
/// after asking the system to forget its copy.
pub(crate) fn reread(path: &Path, range: Range<u64>) -> io::Result<Reread> {
    if let Ok(bytes) = from_device(path, range.clone()) {
        return Ok(Reread { bytes, is_from_device: true });
    }
    let (file, metadata) = open_regular(path)?;
    let file_len = metadata.len();
    if range.end > file_len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    forget(&file, &range);
    let len = range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?;
    let mut bytes = zeros(usize::try_from(len).map_err(io::Error::other)?)?;
    PositionedFile::new(file, file_len).read_exact_at(&mut bytes, range.start)?;
    Ok(Reread { bytes, is_from_device: false })
}

/// That many zeros, or an error if the system has no memory for them.
fn zeros(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Alignment of direct reads in bytes: the largest sector size in use.
#[cfg(all(target_os = "linux", not(miri)))]
const ALIGNMENT: u64 = 4096;

/// Reads with `O_DIRECT`, which some file systems don't have, nor has Miri.
#[cfg(all(target_os = "linux", not(miri)))]
fn from_device(path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).map_err(too_large)?;
    let file = File::options().read(true).custom_flags(direct).open(path)?;
    if range.end > file.metadata()?.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let start = range.start - range.start % ALIGNMENT;
    let len =
        usize::try_from((range.end - start).next_multiple_of(ALIGNMENT)).map_err(too_large)?;
    let alignment = usize::try_from(ALIGNMENT).map_err(too_large)?;
    // The buffer has to be aligned in memory too.
    let mut room = zeros(len + alignment)?;
    let skipped = room.as_ptr().align_offset(alignment);
    let buffer = room.get_mut(skipped..).and_then(|room| room.get_mut(..len));
    let buffer = buffer.ok_or(io::ErrorKind::InvalidInput)?;
    let wanted = usize::try_from(range.end - start).map_err(too_large)?;
    let mut filled = 0;
    while filled < wanted {
        let rest = buffer.get_mut(filled..).ok_or(io::ErrorKind::UnexpectedEof)?;
        match file.read_at(rest, start + filled as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let first = usize::try_from(range.start - start).map_err(too_large)?;
    // The loop has filled all of it, so the range lies within the buffer.
    room.copy_within(skipped + first..skipped + wanted, 0);
    room.truncate(wanted - first);
    Ok(room)
}

/// Elsewhere the standard library has no way past the system's cache.
#[cfg(any(not(target_os = "linux"), miri))]
fn from_device(_: &Path, _: Range<u64>) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asks the system to forget its copy of a range. It keeps pages that are mapped. (Miri has no such
/// call.)
#[cfg(all(target_os = "linux", not(miri)))]
fn forget(file: &File, range: &Range<u64>) {
    // Without a length the advice is for the rest of the file, which is as good.
    let len = std::num::NonZeroU64::new(range.end.saturating_sub(range.start));
    // Advice: that it could not be taken changes nothing.
    _ = rustix::fs::fadvise(file, range.start, len, rustix::fs::Advice::DontNeed);
}

#[cfg(any(not(target_os = "linux"), miri))]
fn forget(_: &File, _: &Range<u64>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_a_file_can_be_read_again() {
        let bytes: Vec<u8> = (0..251).cycle().take(20_000).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        for range in [0..1, 0..20_000, 4095..4097, 4096..8192, 19_999..20_000, 12_345..17_000] {
            let again = reread(file.path(), range.start as u64..range.end as u64).unwrap();
            assert_eq!(again.bytes, bytes[range.clone()], "{range:?}");
        }
        assert!(reread(file.path(), 19_999..20_001).is_err());
    }
}
