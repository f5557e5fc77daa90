//! The position in the bytes of a dump, and the lines that it gives to its sink.

use core::fmt;
use core::ops::Range;

use super::ExplainOptions;
use super::line::{DumpLine, Offset, digits};
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::{FormatError, Structure};

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

/// Takes the lines of a dump.
pub(super) type Sink<'o> = &'o mut dyn FnMut(DumpLine<'_>) -> fmt::Result;

/// A dump that is being written.
pub(super) struct Dump<'a, 'o> {
    bytes: &'a [u8],
    /// Number of bytes that have been shown.
    at: usize,
    structure: Structure,
    options: &'o ExplainOptions,
    /// Digits of an offset.
    digits: usize,
    out: Sink<'o>,
}

impl<'a, 'o> Dump<'a, 'o> {
    pub(super) fn new(bytes: &'a [u8], options: &'o ExplainOptions, out: Sink<'o>) -> Self {
        let digits = digits(options.base, bytes);
        Self { bytes, at: 0, structure: Structure::BlockHeader, options, digits, out }
    }

    /// Starts a structure: writes its title and the number of its bytes. Later errors name the
    /// structure.
    pub(super) fn title(&mut self, title: &str, structure: Structure) -> fmt::Result {
        self.structure = structure;
        let bytes = count(self.rest().len() as u64, "byte");
        self.heading(format_args!("{title}, {bytes}"))
    }

    /// Starts another part with a line of its own.
    pub(super) fn heading(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        (self.out)(DumpLine::Heading(text))
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
        Offset { value: self.value(at), digits: self.digits }
    }

    /// The offset in the file of byte `at`.
    const fn value(&self, at: usize) -> u64 {
        self.options.base.saturating_add(at as u64)
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
        let (bytes, hidden) = self.shorten(bytes);
        let offset = self.value(self.at);
        (self.out)(DumpLine::Field { offset, bytes, hidden, meaning })?;
        self.at += len;
        Ok(())
    }

    /// Shows the next `len` bytes as content without structure, in hex and as text.
    pub(super) fn content(&mut self, len: usize) -> Result<(), Stop> {
        let bytes = self.peek(len)?;
        let (bytes, hidden) = self.shorten(bytes);
        let offset = self.value(self.at);
        (self.out)(DumpLine::Content { offset, bytes, hidden })?;
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
            (self.out)(DumpLine::Skipped { records: more, noun, bytes })?;
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
        (self.out)(DumpLine::Error(error))?;
        let left = self.rest().len();
        if left == 0 {
            return Ok(());
        }
        let bytes = count(left as u64, "byte");
        self.heading(format_args!("not explained, {bytes}"))?;
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
