//! Lines of an input, counted.

use std::io::{self, BufRead, Read};

/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines that end in a line feed, or in carriage return and line feed, or where the input ends.
pub(super) struct Lines<R> {
    source: R,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, number: 0, buffer: Vec::new() }
    }

    /// The next line that is not empty, without its end, and its number from 1.
    pub(super) fn next_filled(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            self.buffer.clear();
            if self.source.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let byte_order_mark = if self.number == 1 { BYTE_ORDER_MARK } else { b"" };
            let start = match self.buffer.starts_with(byte_order_mark) {
                true => byte_order_mark.len(),
                false => 0,
            };
            if without_end(&self.buffer).len() > start {
                return Ok(Some((
                    self.number,
                    without_end(&self.buffer).get(start..).unwrap_or_default(),
                )));
            }
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Hands out no more than one line at a time, so that it knows which line its reader is at.
///
/// The line numbers of the `csv` crate are too low behind empty lines and where lines end in carriage return and line
/// feed.
pub(super) struct LineByLine<R> {
    source: R,
    /// Number of lines handed out to their ends.
    whole_lines: u64,
    is_within_line: bool,
}

impl<R: BufRead> LineByLine<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, whole_lines: 0, is_within_line: false }
    }

    /// Number of the line that was handed out last, from 1.
    pub(super) fn line(&self) -> u64 {
        self.whole_lines + u64::from(self.is_within_line)
    }
}

impl<R: BufRead> Read for LineByLine<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.source.fill_buf()?;
        let fits = available.get(..out.len()).unwrap_or(available);
        let end = fits.iter().position(|&byte| byte == b'\n');
        let part = end.and_then(|end| fits.get(..=end)).unwrap_or(fits);
        let len = part.len();
        if let Some(room) = out.get_mut(..len) {
            room.copy_from_slice(part);
        }
        self.source.consume(len);
        match end {
            Some(_) => (self.whole_lines, self.is_within_line) = (self.whole_lines + 1, false),
            None => self.is_within_line |= len > 0,
        }
        Ok(len)
    }
}
