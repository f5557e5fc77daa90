//! The values of a JSON text: one after the other, or the elements of arrays, as most tools that
//! print JSON write them.
//!
//! Only brackets, strings and commas are looked at, to find where a value ends. The value itself is
//! parsed by the caller; an error in it does not hide where the next one starts.

use std::io::{self, BufRead};

use super::InputError;
use super::lines::skip_byte_order_mark;

/// The place between values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of arrays.
    Outside,
    /// Behind the bracket that opens an array.
    ArrayStart,
    /// Behind an element of an array.
    AfterElement,
    /// Behind a comma of an array.
    AfterComma,
}

/// Reads the values of an input.
pub(super) struct JsonValues<R> {
    source: R,
    /// Number of line feeds read.
    line_feeds: u64,
    place: Place,
    is_started: bool,
}

impl<R: BufRead> JsonValues<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, line_feeds: 0, place: Place::Outside, is_started: false }
    }

    /// Passes the next value to `consume`, part by part. Returns the number of the line in which it
    /// starts; `None` at the end.
    pub(super) fn next_value(
        &mut self,
        consume: impl FnMut(&[u8]),
    ) -> Result<Option<u64>, InputError> {
        if !self.is_started {
            skip_byte_order_mark(&mut self.source)?;
            self.is_started = true;
        }
        if !self.find_value()? {
            return Ok(None);
        }
        let number = self.line_feeds + 1;
        self.read_value(consume)?;
        if self.place != Place::Outside {
            self.place = Place::AfterElement;
        }
        Ok(Some(number))
    }

    /// Moves to the first byte of the next value. `false` at the end of the input.
    fn find_value(&mut self) -> Result<bool, InputError> {
        loop {
            let Some(byte) = self.peek()? else {
                return match self.place {
                    Place::Outside => Ok(false),
                    _ => Err(InputError::JsonEnd { line: self.line_feeds + 1 }),
                };
            };
            self.place = match (byte, self.place) {
                (b' ' | b'\t' | b'\r' | b'\n', place) => place,
                (b'[', Place::Outside) => Place::ArrayStart,
                (b']', Place::ArrayStart | Place::AfterElement) => Place::Outside,
                (b',', Place::AfterElement) => Place::AfterComma,
                (b',' | b':' | b']' | b'}', _) | (_, Place::AfterElement) => {
                    return Err(InputError::JsonPlace {
                        line: self.line_feeds + 1,
                        found: char::from(byte).escape_default().to_string(),
                    });
                }
                _ => return Ok(true),
            };
            self.line_feeds += u64::from(byte == b'\n');
            self.source.consume(1);
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                buffer => return Ok(buffer?.first().copied()),
            }
        }
    }

    /// Passes the bytes of the value that starts here to `consume`.
    fn read_value(&mut self, mut consume: impl FnMut(&[u8])) -> Result<(), InputError> {
        let mut extent = Extent::default();
        loop {
            let buffer = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return match extent.may_end_here() {
                    true => Ok(()),
                    false => Err(InputError::JsonEnd { line: self.line_feeds + 1 }),
                };
            }
            let (len, is_end) = extent.advance(buffer);
            // `len` is at most the length of the buffer.
            let part = buffer.get(..len).unwrap_or(buffer);
            consume(part);
            self.line_feeds += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.source.consume(len);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// Finds the end of a value.
#[derive(Default)]
struct Extent {
    /// Brackets that are open.
    depth: u64,
    in_string: bool,
    /// Whether the last byte was a backslash that escapes the next one.
    after_backslash: bool,
    is_started: bool,
}

impl Extent {
    /// Whether the value may end where the input does: only a number or a word may.
    const fn may_end_here(&self) -> bool {
        self.is_started && self.depth == 0 && !self.in_string
    }

    /// Number of bytes of the buffer that belong to the value, and whether it ends behind them.
    fn advance(&mut self, buffer: &[u8]) -> (usize, bool) {
        for (i, &byte) in buffer.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.after_backslash => self.after_backslash = false,
                    b'\\' => self.after_backslash = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return (i + 1, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                // Behind a number or a word.
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | b'[' | b'{' | b'"'
                    if self.depth == 0 && self.is_started =>
                {
                    return (i, true);
                }
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (i + 1, true);
                    }
                }
                _ => {}
            }
            self.is_started = true;
        }
        (buffer.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// The values of a text with their lines. Checks that they do not depend on how it is cut.
    fn values(text: &str) -> Result<Vec<(u64, String)>, InputError> {
        let read = |capacity: usize| {
            let source = BufReader::with_capacity(capacity, text.as_bytes());
            let (mut values, mut found) = (JsonValues::new(source), Vec::new());
            let mut text = Vec::new();
            while let Some(number) = values.next_value(|part| text.extend_from_slice(part))? {
                found.push((number, String::from_utf8(std::mem::take(&mut text)).unwrap()));
            }
            Ok(found)
        };
        let whole: Result<Vec<_>, InputError> = read(1 << 10);
        for capacity in 3..8 {
            let cut: Result<Vec<_>, InputError> = read(capacity);
            assert_eq!(cut.as_ref().ok(), whole.as_ref().ok(), "{text}");
        }
        whole
    }

    #[test]
    fn values_follow_each_other_or_are_in_arrays() {
        for (text, expected) in [
            ("", &[][..]),
            (" \n[]\n", &[]),
            (r#"{"a":1}{"b":"}]"}"#, &[(1, r#"{"a":1}"#), (1, r#"{"b":"}]"}"#)]),
            (
                "[\n {\"a\":[1]},\n 2 , \"x,\\\"]\"\n]",
                &[(2, r#"{"a":[1]}"#), (3, "2"), (3, r#""x,\"]""#)],
            ),
            ("1 2\n3", &[(1, "1"), (1, "2"), (2, "3")]),
            ("[1][[2],{}]", &[(1, "1"), (1, "[2]"), (1, "{}")]),
            ("\u{feff}{}", &[(1, "{}")]),
        ] {
            let found = values(text).unwrap();
            let found: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn an_input_that_is_cut_short_or_out_of_order_is_refused() {
        for text in
            ["[", "[1", "[1,", "{\"a\":1", "\"x", "[1,]", "[,1]", "]", "}", "1,2", "[1 2]", "[1}"]
        {
            assert!(values(text).is_err(), "{text}");
        }
    }
}
