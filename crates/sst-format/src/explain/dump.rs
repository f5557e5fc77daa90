//! The lines of a dump, and the position in its bytes.

use core::fmt;
use core::ops::Range;

use super::ExplainOptions;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::{FormatError, Structure};

/// Bytes on one line of a field.
const FIELD_LINE: usize = 8;
/// Bytes on one line of content without structure, which is shown as text too.
const CONTENT_LINE: usize = 16;
/// Width of the hex column, in characters.
const HEX_WIDTH: usize = FIELD_LINE * 3 - 1;
/// Width of the hex column of content, in characters.
const CONTENT_WIDTH: usize = CONTENT_LINE * 3 - 1;

/// The reason why a dump ends early.
pub(super) enum Stop {
    /// The bytes are damaged; the rest cannot be explained.
    Format(FormatError),
    /// The sink refused the text.
    Write(fmt::Error),
}

impl From<FormatError> for Stop {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<fmt::Error> for Stop {
    fn from(error: fmt::Error) -> Self {
        Self::Write(error)
    }
}

/// A dump that is being written.
pub(super) struct Dump<'a, 'o> {
    bytes: &'a [u8],
    /// Number of bytes that have been shown.
    at: usize,
    structure: Structure,
    options: &'o ExplainOptions,
    /// Digits of an offset.
    digits: usize,
    out: &'o mut dyn fmt::Write,
}

impl<'a, 'o> Dump<'a, 'o> {
    pub(super) fn new(
        bytes: &'a [u8],
        options: &'o ExplainOptions,
        out: &'o mut dyn fmt::Write,
    ) -> Self {
        let end = options.base.saturating_add(bytes.len() as u64);
        let digits = if end > 0xffff { 8 } else { 4 };
        Self { bytes, at: 0, structure: Structure::BlockHeader, options, digits, out }
    }

    /// Starts a structure: writes its title and the number of its bytes. Later errors name the
    /// structure.
    pub(super) fn title(&mut self, title: &str, structure: Structure) -> fmt::Result {
        self.structure = structure;
        writeln!(self.out, "{title}, {}", count(self.rest().len() as u64, "byte"))
    }

    /// Starts another part with a line of its own.
    pub(super) fn heading(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        self.out.write_fmt(text)?;
        self.out.write_char('\n')
    }

    pub(super) const fn structure(&mut self, structure: Structure) {
        self.structure = structure;
    }

    pub(super) const fn options(&self) -> &'o ExplainOptions {
        self.options
    }

    /// All bytes, shown or not.
    pub(super) const fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes in `range`, shown or not.
    pub(super) fn slice(&self, range: Range<usize>) -> Result<&'a [u8], FormatError> {
        let (structure, available) = (self.structure, self.bytes.len() as u64);
        let needed = range.end as u64;
        let too_short = FormatError::TooShort { structure, needed, available };
        self.bytes.get(range).ok_or(too_short)
    }

    /// The bytes not shown yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        // `at` only moves over existing bytes. Behind the last one there are none.
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Number of bytes that have been shown.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The text of the offset column for byte `at`.
    pub(super) fn offset(&self, at: usize) -> Offset {
        Offset { value: self.options.base.saturating_add(at as u64), digits: self.digits }
    }

    pub(super) fn too_short(&self, len: u64) -> FormatError {
        let needed = (self.at as u64).saturating_add(len);
        let available = self.bytes.len() as u64;
        FormatError::TooShort { structure: self.structure, needed, available }
    }

    /// The next `len` bytes. They are not shown yet.
    pub(super) fn peek(&self, len: usize) -> Result<&'a [u8], FormatError> {
        self.rest().get(..len).ok_or(self.too_short(len as u64))
    }

    pub(super) fn peek_u8(&self) -> Result<u8, FormatError> {
        self.rest().first().copied().ok_or(self.too_short(1))
    }

    pub(super) fn peek_u16(&self) -> Result<u16, FormatError> {
        u16_at(self.rest(), 0).ok_or(self.too_short(2))
    }

    pub(super) fn peek_u32(&self) -> Result<u32, FormatError> {
        u32_at(self.rest(), 0).ok_or(self.too_short(4))
    }

    pub(super) fn peek_u64(&self) -> Result<u64, FormatError> {
        u64_at(self.rest(), 0).ok_or(self.too_short(8))
    }

    /// Shows the next `len` bytes as one field. A field of no bytes has a line too.
    pub(super) fn field(&mut self, len: usize, meaning: fmt::Arguments<'_>) -> Result<(), Stop> {
        let bytes = self.peek(len)?;
        let (shown, hidden) = self.shorten(bytes);
        let mut lines = shown.chunks(FIELD_LINE);
        // A field of no bytes has a line without bytes.
        let first = lines.next().unwrap_or_default();
        let offset = self.offset(self.at);
        writeln!(self.out, "  {offset}  {}  {meaning}", Hex { bytes: first, width: HEX_WIDTH })?;
        let mut at = self.at + first.len();
        for line in lines {
            writeln!(self.out, "  {}  {}", self.offset(at), Hex { bytes: line, width: 0 })?;
            at += line.len();
        }
        self.more_bytes(hidden)?;
        self.at += len;
        Ok(())
    }

    /// Shows the next `len` bytes as content without structure, in hex and as text.
    pub(super) fn content(&mut self, len: usize) -> Result<(), Stop> {
        let bytes = self.peek(len)?;
        let (shown, hidden) = self.shorten(bytes);
        let mut at = self.at;
        for line in shown.chunks(CONTENT_LINE) {
            let hex = Hex { bytes: line, width: CONTENT_WIDTH };
            writeln!(self.out, "  {}  {hex}  |{}|", self.offset(at), Ascii(line))?;
            at += line.len();
        }
        self.more_bytes(hidden)?;
        self.at += len;
        Ok(())
    }

    /// Shows a run of records by calling `each`, but only counts those in the middle of a long run.
    /// `len` gives the length in bytes of a range of records; the first of them starts at the
    /// current position.
    pub(super) fn records(
        &mut self,
        count: u64,
        noun: &str,
        len: impl Fn(&Self, Range<u64>) -> Result<u64, FormatError>,
        mut each: impl FnMut(&mut Self, u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let shown = self.options.max_records.max(2) as u64;
        let hidden = if count > shown { shown - 1..count - 1 } else { count..count };
        for i in 0..hidden.start {
            each(self, i)?;
        }
        if !hidden.is_empty() {
            let bytes = len(self, hidden.clone())?;
            let skipped = usize::try_from(bytes)
                .ok()
                .filter(|&skipped| skipped <= self.rest().len())
                .ok_or(self.too_short(bytes))?;
            let more = hidden.end - hidden.start;
            let dots = Dots(self.digits);
            writeln!(self.out, "  {dots}  {more} more {noun}, {}", self::count(bytes, "byte"))?;
            self.at += skipped;
            each(self, count - 1)?;
        }
        Ok(())
    }

    /// As [`Dump::records`], for records of `len` bytes each.
    pub(super) fn fixed_records(
        &mut self,
        count: u64,
        noun: &str,
        len: usize,
        each: impl FnMut(&mut Self, u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let len =
            |_: &Self, range: Range<u64>| Ok((range.end - range.start).saturating_mul(len as u64));
        self.records(count, noun, len, each)
    }

    /// States the error that ends the dump, and lists the remaining bytes.
    pub(super) fn error(&mut self, error: FormatError) -> fmt::Result {
        writeln!(self.out, "error: {error}")?;
        let left = self.rest().len();
        if left == 0 {
            return Ok(());
        }
        writeln!(self.out, "not explained, {}", count(left as u64, "byte"))?;
        match self.content(left) {
            Err(Stop::Write(error)) => Err(error),
            Ok(()) | Err(Stop::Format(_)) => Ok(()),
        }
    }

    /// The part of a long field that is shown, and the number of hidden bytes.
    fn shorten(&self, bytes: &'a [u8]) -> (&'a [u8], usize) {
        // A short field is shown whole.
        let shown = bytes.get(..self.options.max_bytes).unwrap_or(bytes);
        (shown, bytes.len() - shown.len())
    }

    fn more_bytes(&mut self, hidden: usize) -> fmt::Result {
        match hidden {
            0 => Ok(()),
            _ => writeln!(self.out, "  {}  {hidden} more bytes", Dots(self.digits)),
        }
    }
}

/// An offset in the form of the first column.
pub(super) struct Offset {
    value: u64,
    digits: usize,
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0digits$x}", self.value, digits = self.digits)
    }
}

/// Dots, which stand in the first column where bytes are left out.
struct Dots(usize);

impl fmt::Display for Dots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str("."))
    }
}

/// Bytes in hex, filled up to `width` characters.
struct Hex<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.bytes.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{byte:02x}")?;
        }
        let written = (self.bytes.len() * 3).saturating_sub(1);
        (written..self.width).try_for_each(|_| f.write_str(" "))
    }
}

/// Bytes as text, one character each; bytes that are not printable ASCII become dots.
struct Ascii<'a>(&'a [u8]);

impl fmt::Display for Ascii<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            let printable = byte.is_ascii_graphic() || byte == b' ';
            fmt::Write::write_char(f, if printable { char::from(byte) } else { '.' })
        })
    }
}

/// The length of a key or value and, if it is text, the text: `3 bytes: "abc"`.
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    max: usize,
}

impl<'a> Text<'a> {
    pub(super) const fn new(bytes: &'a [u8], options: &ExplainOptions) -> Self {
        Self { bytes, max: options.max_bytes }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", count(self.bytes.len() as u64, "byte"))?;
        let Ok(text) = core::str::from_utf8(self.bytes) else {
            return Ok(());
        };
        if text.is_empty() || text.chars().any(char::is_control) {
            return Ok(());
        }
        match text.char_indices().nth(self.max) {
            None => write!(f, ": {text:?}"),
            Some((end, _)) => write!(f, ": {:?}…", text.split_at(end).0),
        }
    }
}

/// A number with its noun: `1 byte`, `2 bytes`.
pub(super) const fn count(number: u64, noun: &'static str) -> Count {
    Count { number, noun }
}

/// The result of [`count`].
pub(super) struct Count {
    number: u64,
    noun: &'static str,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.number == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.number, self.noun)
    }
}
