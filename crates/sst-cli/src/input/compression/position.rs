//! A stream that counts the bytes consumed from it.

use std::io::{self, BufRead, Read};

/// A buffered stream that counts the bytes consumed from it.
pub(super) struct Positioned<R> {
    source: R,
    offset: u64,
}

impl<R> Positioned<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, offset: 0 }
    }

    /// Number of bytes consumed so far: the offset of the next one.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }
}

impl<R: BufRead> Read for Positioned<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(out)?;
        self.offset += len as u64;
        Ok(len)
    }
}

impl<R: BufRead> BufRead for Positioned<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        self.offset += len as u64;
        self.source.consume(len);
    }
}
