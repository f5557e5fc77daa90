//! A sink for gigabytes of zeros that takes little disk space.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// A file in which pages of zeros are left out as holes.
pub(super) struct SparseFile {
    file: File,
    len: u64,
}

impl SparseFile {
    /// A sink that writes to this empty file.
    pub(super) const fn new(file: File) -> Self {
        Self { file, len: 0 }
    }
}

impl Write for SparseFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const PAGE: usize = 4096;
        for page in bytes.chunks(PAGE) {
            if page.iter().any(|&byte| byte != 0) {
                self.file.seek(SeekFrom::Start(self.len))?;
                self.file.write_all(page)?;
            }
            self.len += page.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)
    }
}
