//! The lines of a dump, and their text.

use core::fmt;

use super::dump::count;
use crate::FormatError;

/// Bytes on one line of a field.
const FIELD_LINE: usize = 8;
/// Bytes on one line of content without structure, which is shown as text too.
const CONTENT_LINE: usize = 16;
/// Width of the hex column, in characters.
const HEX_WIDTH: usize = FIELD_LINE * 3 - 1;
/// Width of the hex column of content, in characters.
const CONTENT_WIDTH: usize = CONTENT_LINE * 3 - 1;

/// A piece of a dump, from [`explain_lines`](super::explain_lines).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DumpLine<'a> {
    /// The name of the structure or part that follows.
    Heading(fmt::Arguments<'a>),
    /// A field.
    Field {
        /// Offset of its first byte in the file.
        offset: u64,
        /// Its bytes, or the first ones of a long field.
        bytes: &'a [u8],
        /// Number of bytes that are left out.
        hidden: usize,
        /// The meaning of the field.
        meaning: fmt::Arguments<'a>,
    },
    /// Bytes without structure.
    Content {
        /// Offset of the first byte in the file.
        offset: u64,
        /// The bytes, or the first ones of many.
        bytes: &'a [u8],
        /// Number of bytes that are left out.
        hidden: usize,
    },
    /// Records in the middle of a long run, which are left out.
    Skipped {
        /// Number of records.
        records: u64,
        /// The name of such records, in plural.
        noun: &'a str,
        /// Number of their bytes.
        bytes: u64,
    },
    /// The error that ends the explanation. The bytes that are left follow as content.
    Error(FormatError),
}

/// Digits of the offset column for bytes that start at `base`.
pub(super) const fn digits(base: u64, bytes: &[u8]) -> usize {
    if base.saturating_add(bytes.len() as u64) > 0xffff { 8 } else { 4 }
}

/// Writes a piece as text, in one line or several.
pub(super) fn write(line: DumpLine<'_>, digits: usize, out: &mut dyn fmt::Write) -> fmt::Result {
    match line {
        DumpLine::Heading(text) => writeln!(out, "{text}"),
        DumpLine::Field { offset: value, bytes, hidden, meaning } => {
            let mut lines = bytes.chunks(FIELD_LINE);
            // A field of no bytes has a line without bytes.
            let first = lines.next().unwrap_or_default();
            let (offset, hex) = (Offset { value, digits }, Hex { bytes: first, width: HEX_WIDTH });
            writeln!(out, "  {offset}  {hex}  {meaning}")?;
            let mut value = value.saturating_add(first.len() as u64);
            for bytes in lines {
                let (offset, hex) = (Offset { value, digits }, Hex { bytes, width: 0 });
                writeln!(out, "  {offset}  {hex}")?;
                value = value.saturating_add(bytes.len() as u64);
            }
            more_bytes(hidden, digits, out)
        }
        DumpLine::Content { offset: mut value, bytes, hidden } => {
            for bytes in bytes.chunks(CONTENT_LINE) {
                let (offset, hex) = (Offset { value, digits }, Hex { bytes, width: CONTENT_WIDTH });
                writeln!(out, "  {offset}  {hex}  |{}|", Ascii(bytes))?;
                value = value.saturating_add(bytes.len() as u64);
            }
            more_bytes(hidden, digits, out)
        }
        DumpLine::Skipped { records, noun, bytes } => {
            let (dots, bytes) = (Dots(digits), count(bytes, "byte"));
            writeln!(out, "  {dots}  {records} more {noun}, {bytes}")
        }
        DumpLine::Error(error) => writeln!(out, "error: {error}"),
    }
}

fn more_bytes(hidden: usize, digits: usize, out: &mut dyn fmt::Write) -> fmt::Result {
    match hidden {
        0 => Ok(()),
        _ => writeln!(out, "  {}  {hidden} more bytes", Dots(digits)),
    }
}

/// An offset in the form of the first column.
pub(super) struct Offset {
    pub(super) value: u64,
    pub(super) digits: usize,
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
