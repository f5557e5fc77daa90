//! Lines of an input, counted, in bounded memory.

use std::io::{self, BufRead};

use super::bounded::Bounded;

/// Some editors put this in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Passes over a byte order mark. To be called once, before anything else is read.
pub(super) fn skip_byte_order_mark(source: &mut impl BufRead) -> io::Result<()> {
    // The first buffer holds at least the longest signature, see `compression::decompressed`.
    if source.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        source.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// Lines that end in a line feed, in carriage return and line feed, or where the input ends.
pub(super) struct Lines<R> {
    source: R,
    number: u64,
    buffer: Bounded,
}

/// A line as a whole.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its bytes without the line end, unless it is too long.
    pub(super) text: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, number: 0, buffer: Bounded::new() }
    }

    /// Hands the next line that is not empty to `take`, without its end, and returns its number
    /// from 1; `None` at the end of the input.
    ///
    /// A line comes in one part if it lies within one buffer of the source, else in several.
    pub(super) fn next_filled(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<Option<u64>> {
        if self.number == 0 {
            skip_byte_order_mark(&mut self.source)?;
        }
        loop {
            let Some(is_filled) = self.next_line(&mut take)? else { return Ok(None) };
            self.number += 1;
            if is_filled {
                return Ok(Some(self.number));
            }
        }
    }

    /// The next line that is not empty, as a whole. A line that `limit` refuses has no text; the
    /// rest of it is passed over.
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

    /// Hands out one line, and returns whether it has bytes; `None` at the end of the input.
    fn next_line(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<Option<bool>> {
        let (mut is_filled, mut is_started) = (false, false);
        // A carriage return at the end of a buffer may belong to the line end.
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
                take(b"\r");
                (held_return, is_filled) = (false, true);
            }
            let stripped = part.strip_suffix(b"\r");
            held_return |= stripped.is_some();
            let part = stripped.unwrap_or(part);
            if !part.is_empty() {
                take(part);
                is_filled = true;
            }
            self.source.consume(used);
            if is_end || line_feed.is_some() {
                return Ok(Some(is_filled));
            }
        }
    }
}
