//! Reads rows of comma-separated values, cell by cell, in bounded memory.
//!
//! Quotes follow RFC 4180 strictly. A cell that starts with a quote ends at its closing quote; `""`
//! within it is a quote; after the closing quote only a delimiter or a line end may follow. A quote
//! elsewhere stands for itself. A row ends in a line feed, a carriage return or both. Empty lines
//! are not rows. Python's `csv` module accepts the same in strict mode.

use std::io::{self, BufRead};

use super::lines::skip_byte_order_mark;
use super::{InputError, LineError};

/// Receives the cells of one row. Each cell may come in several parts.
pub(super) trait RowSink {
    /// A part of a cell, without its quotes.
    fn bytes(&mut self, cell: u64, bytes: &[u8]);

    /// The end of a cell.
    fn end(&mut self, cell: u64);
}

/// A row that was read completely.
#[derive(Debug)]
pub(super) struct Row {
    /// Number of the row's first line, from 1.
    pub(super) line: u64,
    /// Number of the row's cells.
    pub(super) cells: u64,
    /// The first error in the row.
    pub(super) fault: Option<LineError>,
}

/// The rows of an input.
pub(super) struct CsvRows<R> {
    source: R,
    delimiter: u8,
    lines: LineCounter,
    is_started: bool,
}

/// Counts lines that end in a line feed, a carriage return, or both.
#[derive(Default)]
struct LineCounter {
    /// Number of lines that have ended.
    ended: u64,
    /// Whether the last byte was a carriage return. A line feed right after it ends no further
    /// line.
    after_return: bool,
}

impl LineCounter {
    fn count(&mut self, byte: u8) {
        self.ended += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
        self.after_return = byte == b'\r';
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ParserState {
    /// Before the first byte of a row.
    RowStart,
    CellStart,
    /// In a cell without quotes.
    Plain,
    Quoted,
    /// After a quote inside a quoted cell. If another quote follows, both mean one quote.
    QuoteInQuoted,
    /// After an error: the rest of the line is ignored.
    Skip,
    RowEnd,
}

/// The row being read.
struct RowState {
    state: ParserState,
    row: Row,
}

impl<R: BufRead> CsvRows<R> {
    pub(super) fn new(source: R, delimiter: u8) -> Self {
        Self { source, delimiter, lines: LineCounter::default(), is_started: false }
    }

    /// Reads the next row; `None` at the end of the input.
    pub(super) fn next_row(&mut self, sink: &mut impl RowSink) -> Result<Option<Row>, InputError> {
        if !self.is_started {
            skip_byte_order_mark(&mut self.source)?;
            self.is_started = true;
        }
        let row = Row { line: 0, cells: 0, fault: None };
        let mut at = RowState { state: ParserState::RowStart, row };
        while at.state != ParserState::RowEnd {
            let buffer = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                match at.state {
                    ParserState::RowStart => return Ok(None),
                    ParserState::Quoted => {
                        return Err(InputError::UnclosedQuote { line: at.row.line });
                    }
                    ParserState::Skip => {}
                    ParserState::CellStart
                    | ParserState::Plain
                    | ParserState::QuoteInQuoted
                    | ParserState::RowEnd => at.end_cell(sink),
                }
                break;
            }
            let used = at.advance(buffer, self.delimiter, &mut self.lines, sink);
            self.source.consume(used);
        }
        Ok(Some(at.row))
    }
}

impl RowState {
    /// Reads on to the end of the row or of the buffer. Returns the number of bytes consumed.
    fn advance(
        &mut self,
        buffer: &[u8],
        delimiter: u8,
        lines: &mut LineCounter,
        sink: &mut impl RowSink,
    ) -> usize {
        let mut rest = buffer;
        while let [byte, others @ ..] = rest
            && self.state != ParserState::RowEnd
        {
            let is_line_end = matches!(byte, b'\n' | b'\r');
            match self.state {
                ParserState::RowStart if is_line_end => lines.count(*byte),
                ParserState::RowStart => {
                    self.row.line = lines.ended + 1;
                    self.state = ParserState::CellStart;
                    continue;
                }
                ParserState::CellStart if *byte == b'"' => self.state = ParserState::Quoted,
                ParserState::CellStart => {
                    self.state = ParserState::Plain;
                    continue;
                }
                ParserState::Quoted if *byte == b'"' => self.state = ParserState::QuoteInQuoted,
                ParserState::Quoted if is_line_end => {
                    lines.count(*byte);
                    sink.bytes(self.row.cells, &[*byte]);
                }
                ParserState::QuoteInQuoted if *byte == b'"' => {
                    sink.bytes(self.row.cells, b"\"");
                    self.state = ParserState::Quoted;
                }
                ParserState::QuoteInQuoted | ParserState::Plain if is_line_end => {
                    self.end_cell(sink);
                    self.end_row(*byte, lines);
                }
                ParserState::QuoteInQuoted | ParserState::Plain if *byte == delimiter => {
                    self.end_cell(sink);
                    self.state = ParserState::CellStart;
                }
                ParserState::QuoteInQuoted => {
                    self.row.fault.get_or_insert(LineError::TextBehindQuote);
                    self.state = ParserState::Skip;
                }
                ParserState::Skip if is_line_end => self.end_row(*byte, lines),
                ParserState::Quoted | ParserState::Plain | ParserState::Skip => {
                    rest = self.consume_run(rest, delimiter, sink);
                    lines.after_return = false;
                    continue;
                }
                ParserState::RowEnd => {}
            }
            if !is_line_end {
                lines.after_return = false;
            }
            rest = others;
        }
        buffer.len() - rest.len()
    }

    /// Consumes bytes up to the next special byte. Returns the rest of the buffer.
    fn consume_run<'b>(
        &mut self,
        buffer: &'b [u8],
        delimiter: u8,
        sink: &mut impl RowSink,
    ) -> &'b [u8] {
        let special = if self.state == ParserState::Plain { delimiter } else { b'"' };
        let ends = |&byte: &u8| byte == special || byte == b'\n' || byte == b'\r';
        let len = match self.state {
            ParserState::Skip => buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r')),
            _ => buffer.iter().position(ends),
        };
        // `len` is at most the length of the buffer, so the split always succeeds.
        let (run, rest) =
            buffer.split_at_checked(len.unwrap_or(buffer.len())).unwrap_or((buffer, &[]));
        if self.state != ParserState::Skip {
            if run.contains(&0) {
                self.row.fault.get_or_insert(LineError::ZeroByte);
            }
            sink.bytes(self.row.cells, run);
        }
        rest
    }

    fn end_cell(&mut self, sink: &mut impl RowSink) {
        sink.end(self.row.cells);
        self.row.cells += 1;
    }

    fn end_row(&mut self, line_end: u8, lines: &mut LineCounter) {
        lines.count(line_end);
        self.state = ParserState::RowEnd;
    }
}
