//! Numbered lines of an input, read in bounded memory.

use std::io::{self, BufRead};

use super::bounded::Bounded;

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
    buffer: Bounded,
}

/// A whole line, or a value that starts in it.
pub(super) struct Line<'a> {
    /// The line's number, from 1.
    pub(super) number: u64,
    /// The line's bytes without its end. `None` if the line is too long.
    pub(super) text: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, number: 0, buffer: Bounded::new() }
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

    /// Returns the next line that is not empty. The text of a line that `limit` refuses is `None`;
    /// the rest of such a line is skipped.
    pub(super) fn next_whole(
        &mut self,
        mut limit: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Option<Line<'_>>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut is_refused = false;
        let number = self.next_filled(|part| {
            is_refused = is_refused || !limit(part) || buffer.append(part, usize::MAX).is_err();
        })?;
        self.buffer = buffer;
        let text = (!is_refused).then_some(self.buffer.as_slice());
        Ok(number.map(|number| Line { number, text }))
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
