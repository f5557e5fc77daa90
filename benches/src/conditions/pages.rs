//! Removal of files from the page cache.

use std::fs::{self, File};
use std::path::Path;

use crate::Result;

/// Drops all files of a directory and its subdirectories from the page cache. No process may have
/// the files mapped.
pub(crate) fn drop_pages(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_pages(&path)?;
            continue;
        }
        let file = File::open(path)?;
        // The kernel cannot drop dirty pages, so they are written to disk first.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}
