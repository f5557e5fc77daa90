//! Splits CSV and TSV into rows of cells, as strictly as `sst load`.
//!
//! CSV is RFC 4180: a cell that starts with a quote ends at its closing quote, `""` within it is a
//! quote, and behind it comes a delimiter or a line end. Rows end in a line feed, a carriage return
//! or both; empty lines are no rows. TSV has no quotes. A quote that is never closed, text behind a
//! closing quote, a zero byte, a row with another number of cells than the first and a row over
//! [`MAX_ROW_LEN`] are errors: a file with one of them is cut short, or is no CSV.

use std::io::{self, BufRead};
use std::ops::Range;

/// Highest length of a row in bytes: a key of 16 MiB, a value of 64 MiB, and their quotes.
const MAX_ROW_LEN: usize = 161 << 20;

/// Some editors put this in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The reason why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CellError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {line}: a quote is opened in this row and not closed")]
    UnclosedQuote { line: u64 },
    #[error("line {line}: there is text behind a closing quote")]
    TextBehindQuote { line: u64 },
    #[error("line {line}: there is a zero byte: the input is no text")]
    ZeroByte { line: u64 },
    #[error("line {line}: {found} cells, and the first row has {expected}")]
    CellCount { line: u64, found: usize, expected: usize },
    #[error("line {line}: the row has more than {MAX_ROW_LEN} bytes")]
    TooLong { line: u64 },
}

/// The rows of an input.
pub(crate) struct Rows<R> {
    input: R,
    delimiter: u8,
    has_quotes: bool,
    /// The line of the current row, from 1.
    line: u64,
    /// The line of the next byte.
    next_line: u64,
    after_return: bool,
    /// The bytes of all cells of the row.
    bytes: Vec<u8>,
    cells: Vec<Range<usize>>,
    /// The number of cells of the first row.
    expected: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote within quotes: the closing one, or the first of two.
    QuoteInQuoted,
}

impl<R: BufRead> Rows<R> {
    pub(crate) fn new(mut input: R, is_tsv: bool) -> io::Result<Self> {
        // A buffer that is shorter than the mark is of an input that is.
        if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let delimiter = if is_tsv { b'\t' } else { b',' };
        let (bytes, cells) = (Vec::new(), Vec::new());
        let (line, next_line, after_return) = (0, 1, false);
        let has_quotes = !is_tsv;
        let expected = None;
        Ok(Self {
            input,
            delimiter,
            has_quotes,
            line,
            next_line,
            after_return,
            bytes,
            cells,
            expected,
        })
    }

    /// The line of the current row, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// A cell of the current row, counted from 0.
    pub(crate) fn cell(&self, index: usize) -> Option<&[u8]> {
        self.cells.get(index).and_then(|range| self.bytes.get(range.clone()))
    }

    /// Reads the next row; `false` at the end of the input.
    pub(crate) fn advance(&mut self) -> Result<bool, CellError> {
        self.bytes.clear();
        self.cells.clear();
        let (mut state, mut start) = (State::CellStart, 0);
        let mut is_started = false;
        loop {
            let Some(byte) = self.next_byte()? else {
                if state == State::Quoted {
                    return Err(CellError::UnclosedQuote { line: self.line });
                }
                return if is_started { self.end_row(start).map(|()| true) } else { Ok(false) };
            };
            let is_line_end = matches!(byte, b'\n' | b'\r');
            // The second half of a line end, or an empty line.
            let is_nothing = is_line_end && !is_started;
            self.pass(byte);
            if is_nothing {
                continue;
            }
            if !is_started {
                (is_started, self.line) = (true, self.next_line);
            }
            if byte == 0 {
                return Err(CellError::ZeroByte { line: self.line });
            }
            match state {
                State::CellStart if byte == b'"' && self.has_quotes => state = State::Quoted,
                State::Quoted if byte == b'"' => state = State::QuoteInQuoted,
                State::QuoteInQuoted if byte == b'"' => {
                    self.push(byte)?;
                    state = State::Quoted;
                }
                State::Quoted => self.push(byte)?,
                _ if is_line_end => return self.end_row(start).map(|()| true),
                _ if byte == self.delimiter => {
                    self.cells.push(start..self.bytes.len());
                    (state, start) = (State::CellStart, self.bytes.len());
                }
                State::QuoteInQuoted => return Err(CellError::TextBehindQuote { line: self.line }),
                State::CellStart | State::Plain => {
                    self.push(byte)?;
                    state = State::Plain;
                }
            }
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(buffer) => {
                    let byte = buffer.first().copied();
                    self.input.consume(usize::from(byte.is_some()));
                    return Ok(byte);
                }
            }
        }
    }

    /// Counts the line that a byte ends.
    fn pass(&mut self, byte: u8) {
        self.next_line += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
        self.after_return = byte == b'\r';
    }

    fn push(&mut self, byte: u8) -> Result<(), CellError> {
        if self.bytes.len() == MAX_ROW_LEN {
            return Err(CellError::TooLong { line: self.line });
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn end_row(&mut self, start: usize) -> Result<(), CellError> {
        self.cells.push(start..self.bytes.len());
        let (found, line) = (self.cells.len(), self.line);
        let expected = *self.expected.get_or_insert(found);
        if found == expected { Ok(()) } else { Err(CellError::CellCount { line, found, expected }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a text, with the line of each.
    fn rows(text: &str, is_tsv: bool) -> Result<Vec<(u64, Vec<String>)>, CellError> {
        let mut rows = Rows::new(text.as_bytes(), is_tsv)?;
        let mut all = Vec::new();
        while rows.advance()? {
            let cells = (0..).map_while(|index| rows.cell(index));
            let cells = cells.map(|cell| String::from_utf8(cell.to_vec()).unwrap()).collect();
            all.push((rows.line(), cells));
        }
        Ok(all)
    }

    #[test]
    fn cells_are_those_of_rfc_4180() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n\r\n\r", &[]),
            ("a,b", &[(1, &["a", "b"][..])]),
            ("a,b\r\nc,d\re,f\n", &[(1, &["a", "b"]), (2, &["c", "d"]), (3, &["e", "f"])]),
            ("\n\n\"a,\n\"\"\",b\nc,\n", &[(3, &["a,\n\"", "b"]), (5, &["c", ""])]),
            ("a\"b,\"\"\n", &[(1, &["a\"b", ""])]),
            ("\u{feff}a,b\n", &[(1, &["a", "b"])]),
        ] {
            let found = rows(text, false).unwrap();
            let found: Vec<(u64, Vec<&str>)> = found
                .iter()
                .map(|(line, cells)| (*line, cells.iter().map(String::as_str).collect()))
                .collect();
            let expected: Vec<(u64, Vec<&str>)> =
                expected.iter().map(|(line, cells)| (*line, cells.to_vec())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
        assert_eq!(rows("\"a\tb\"\n", true).unwrap(), [(1, vec!["\"a".into(), "b\"".into()])]);
    }

    #[test]
    fn other_texts_are_refused_with_their_line() {
        let refused = |text| rows(text, false).unwrap_err();
        assert!(matches!(refused("k,v\na,\"1\nb,2\n"), CellError::UnclosedQuote { line: 2 }));
        assert!(matches!(refused("k,v\na,\"1\"x\n"), CellError::TextBehindQuote { line: 2 }));
        assert!(matches!(refused("k,v\na,\"\\\"hi\\\"\"\n"), CellError::TextBehindQuote { .. }));
        assert!(matches!(refused("k,v\na,\0\n"), CellError::ZeroByte { line: 2 }));
        let cells = refused("k,v\na\n");
        assert!(matches!(cells, CellError::CellCount { line: 2, found: 1, expected: 2 }));
    }
}
