//! Numbered lines of an input, read in bounded memory.

use std::io::{self, BufRead};

/// The mark that some editors write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Skips a byte order mark. Must be called once, before anything else is read.
pub(super) fn skip_byte_order_mark(source: &mut impl BufRead) -> io::Result<()> {
    // The first buffer is at least as long as the longest signature, see
    // `compression::decompressed`.
    if source.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        source.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// Lines that end in a line feed, a carriage return and line feed, or the end of the input.
pub(super) struct Lines<R> {
    source: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, number: 0 }
    }

    /// Passes the next line that is not empty to `consume`, without its end. Returns the line's
    /// number, from 1, or `None` at the end of the input.
    ///
    /// `consume` is called once if the line lies within one buffer of the source, otherwise several
    /// times.
    pub(super) fn next_filled(
        &mut self,
        mut consume: impl FnMut(&[u8]),
    ) -> io::Result<Option<u64>> {
        if self.number == 0 {
            skip_byte_order_mark(&mut self.source)?;
        }
        loop {
            let Some(is_filled) = self.next_line(&mut consume)? else { return Ok(None) };
            self.number += 1;
            if is_filled {
                return Ok(Some(self.number));
            }
        }
    }

    /// Passes one line to `consume`. Returns whether the line has bytes, or `None` at the end of
    /// the input.
    fn next_line(&mut self, consume: &mut impl FnMut(&[u8])) -> io::Result<Option<bool>> {
        let (mut is_filled, mut is_started) = (false, false);
        // A carriage return at the end of a buffer may be a part of the line end.
        let mut held_return = false;
        loop {
            let buffer = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let is_end = buffer.is_empty();
            if is_end && !is_started {
                return Ok(None);
            }
            is_started = true;
            let line_feed = buffer.iter().position(|&byte| byte == b'\n');
            let (part, used) = match line_feed.and_then(|end| buffer.get(..end)) {
                Some(part) => (part, part.len() + 1),
                None => (buffer, buffer.len()),
            };
            if held_return && !part.is_empty() {
                consume(b"\r");
                (held_return, is_filled) = (false, true);
            }
            let stripped = part.strip_suffix(b"\r");
            held_return |= stripped.is_some();
            let part = stripped.unwrap_or(part);
            if !part.is_empty() {
                consume(part);
                is_filled = true;
            }
            self.source.consume(used);
            if is_end || line_feed.is_some() {
                return Ok(Some(is_filled));
            }
        }
    }
}
