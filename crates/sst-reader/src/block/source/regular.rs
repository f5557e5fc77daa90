//! Opening files without waiting for them: a pipe or a device is no file of this format.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::file_pool::with_room;

/// Opens a regular file for reading. Anything else is refused, and never waited for: opening a pipe
/// would block until a writer comes.
///
/// Where the process has too many open files, those are closed that can be opened again.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    with_room(|| open_regular_once(path))
}

/// As [`open_regular`], closing nothing.
pub(super) fn open_regular_once(path: &Path) -> io::Result<(File, Metadata)> {
    refuse_special(&path.metadata()?)?;
    let mut options = File::options();
    options.read(true);
    never_wait(&mut options)?;
    let file = options.open(path)?;
    // Another one may stand there since.
    let metadata = file.metadata()?;
    refuse_special(&metadata)?;
    Ok((file, metadata))
}

fn refuse_special(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(())
}

/// Has the system answer at once where a pipe has taken the place of the file since it was looked
/// at. It means nothing for regular files.
#[cfg(all(target_os = "linux", not(miri)))]
fn never_wait(options: &mut std::fs::OpenOptions) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    options.custom_flags(flags);
    Ok(())
}

/// Other systems rely on the check before.
#[cfg(not(all(target_os = "linux", not(miri))))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn never_wait(_: &mut std::fs::OpenOptions) -> io::Result<()> {
    Ok(())
}
