//! An input whose reading ends where the load is cancelled.

use std::io::{self, BufRead, Read};

use sst_writer::monitor::CancelToken;

/// A text that is read until the load is cancelled. It is asked for each buffer, so a line without
/// an end, or a file that expands to one, does not hold a signal up.
pub(super) struct Cancellable<R> {
    source: R,
    token: CancelToken,
}

impl<R> Cancellable<R> {
    pub(super) const fn new(source: R, token: CancelToken) -> Self {
        Self { source, token }
    }
}

impl<R: BufRead> BufRead for Cancellable<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        self.source.consume(len);
    }
}

impl<R: BufRead> Read for Cancellable<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(out)?;
        self.consume(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_is_cancelled() {
        let token = CancelToken::default();
        let mut text = Cancellable::new(&b"some text"[..], token.clone());
        let mut read = [0; 4];
        text.read_exact(&mut read).unwrap();
        assert_eq!((&read, text.fill_buf().unwrap()), (b"some", &b" text"[..]));
        token.cancel();
        assert!(text.fill_buf().is_err() && text.read(&mut read).is_err());
    }
}
