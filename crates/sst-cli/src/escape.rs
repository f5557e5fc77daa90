//! Bytes as one line of text, and text back to bytes.
//!
//! The output of `sst scan` and `sst get` and the TSV that `sst load` reads follow the same rules,
//! so the output of one is the input of the other:
//!
//! | in text | stands for |
//! |---|---|
//! | `\t` `\n` `\r` `\\` | tab, line feed, carriage return, backslash |
//! | `\x00` … `\xff` | this byte |
//! | `\N` alone, as a value | no value: a tombstone |
//! | anything else | itself |
//!
//! Printing escapes tabs, backslashes, control characters, invisible characters and bytes that are
//! not UTF-8. So no key or value can control the terminal that shows it. A printed line looks like
//! a tombstone or an end mark (`\end(…)`, see [`EndMark`](crate::end_mark::EndMark)) only if it is
//! one. Reading is less strict. Only these raw bytes must be escaped: a line feed, a carriage
//! return before a line feed, a tab in a key, a zero byte.

use std::fmt::{self, Write as _};
use std::io;

/// The text of a tombstone in place of a value.
pub(crate) const DELETED: &str = r"\N";

/// Displays bytes as escaped text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\t' => f.write_str(r"\t")?,
                    '\n' => f.write_str(r"\n")?,
                    '\r' => f.write_str(r"\r")?,
                    '\\' => f.write_str(r"\\")?,
                    c if c.is_control() || is_invisible(c) => {
                        let mut utf8 = [0; 4];
                        c.encode_utf8(&mut utf8).bytes().try_for_each(|byte| hex(f, byte))?;
                    }
                    c => f.write_char(c)?,
                }
            }
            chunk.invalid().iter().try_for_each(|&byte| hex(f, byte))?;
        }
        Ok(())
    }
}

/// Bytes that are looked at together.
const PIECE_LEN: usize = 16;

/// Writes bytes as escaped text. Plain ASCII, which needs no escapes, is copied.
pub(crate) fn write(bytes: &[u8], out: &mut impl io::Write) -> io::Result<()> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    // Pieces without a branch for each byte: most keys and values are plain.
    let is_plain_piece = |piece: &&[u8]| piece.iter().fold(true, |all, byte| all & is_plain(byte));
    let pieces = bytes.chunks(PIECE_LEN).take_while(is_plain_piece).map(<[u8]>::len).sum();
    // The pieces are the start of the bytes.
    let (_, rest) = bytes.split_at_checked(pieces).unwrap_or((bytes, &[]));
    let plain = pieces + rest.iter().take_while(|byte| is_plain(byte)).count();
    // `plain` counts bytes of the slice, so the split always succeeds.
    let (plain, rest) = bytes.split_at_checked(plain).unwrap_or((&[], bytes));
    out.write_all(plain)?;
    if rest.is_empty() { Ok(()) } else { write!(out, "{}", Escaped(rest)) }
}

/// Whether a character is invisible or changes how its neighbours are shown: byte order marks
/// (which `load` would take for the start of a file), joiners, line separators, direction marks.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Escapes control characters, which names of files and keys may contain, so that the text fits in
/// one line and cannot control a terminal.
pub(crate) fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for character in text.to_string().chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

fn hex(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    write!(f, r"\x{byte:02x}")
}

/// An unknown escape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown escape {escape} at byte {at}: use \\t \\n \\r \\\\ or \\x and two hex digits")]
pub(crate) struct BadEscape {
    /// The escape, as text.
    escape: String,
    /// Where it starts, in bytes, counted from 1.
    at: usize,
}

/// The longest escape: `\x00`.
const MAX_ESCAPE_LEN: usize = 4;

/// Turns escaped text back into bytes, part by part. An escape may be split over two parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unescaper {
    /// An incomplete escape at the end of the last part.
    held: Vec<u8>,
    /// Bytes of text consumed so far, including those in `held`.
    consumed: usize,
}

/// The result of parsing the start of an escape.
enum Escape {
    /// An escape of this byte, and the length of the escape.
    Byte(u8, usize),
    /// The escape is cut off; more bytes are needed.
    Incomplete,
    Unknown,
}

impl Unescaper {
    /// Decodes a part of the text and passes the bytes to `out`.
    pub(crate) fn push<E: From<BadEscape>>(
        &mut self,
        text: &[u8],
        mut out: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = text;
        while !self.held.is_empty() {
            let Some((first, others)) = rest.split_first() else { return Ok(()) };
            rest = others;
            self.held.push(*first);
            self.consumed += 1;
            match Escape::parse(&self.held) {
                // The escape was incomplete without the byte just added, so it ends with it.
                Escape::Byte(byte, _) => {
                    self.held.clear();
                    out(&[byte])?;
                }
                Escape::Incomplete => {}
                Escape::Unknown => return Err(self.bad(&[&self.held, rest].concat()).into()),
            }
        }
        while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
            // `backslash` is a position within `rest`, so the split always succeeds.
            let (before, escape) = rest.split_at_checked(backslash).unwrap_or((rest, &[]));
            out(before)?;
            self.consumed += before.len();
            match Escape::parse(escape) {
                Escape::Byte(byte, len) => {
                    out(&[byte])?;
                    self.consumed += len;
                    // The escape was parsed from these bytes, so they contain it.
                    rest = escape.get(len..).unwrap_or(&[]);
                }
                Escape::Incomplete => {
                    self.held.extend_from_slice(escape);
                    self.consumed += escape.len();
                    return Ok(());
                }
                Escape::Unknown => {
                    self.consumed += 1;
                    self.held.push(b'\\');
                    return Err(self.bad(escape).into());
                }
            }
        }
        self.consumed += rest.len();
        out(rest)
    }

    /// Ends the text. An incomplete escape is an error.
    pub(crate) fn finish(self) -> Result<(), BadEscape> {
        if self.held.is_empty() { Ok(()) } else { Err(self.bad(&self.held)) }
    }

    /// The error for the escape `escape`, of which the bytes in `held` are consumed.
    fn bad(&self, escape: &[u8]) -> BadEscape {
        let shown = if escape.get(1) == Some(&b'x') { MAX_ESCAPE_LEN } else { 2 };
        let escape = escape.get(..shown).unwrap_or(escape);
        let escape = String::from_utf8_lossy(escape).escape_debug().to_string();
        BadEscape { escape: escape.replace("\\\\", "\\"), at: self.consumed - self.held.len() + 1 }
    }
}

impl Escape {
    /// The escape at the start of `text`, which starts with a backslash.
    fn parse(text: &[u8]) -> Self {
        match text {
            [_, b't', ..] => Self::Byte(b'\t', 2),
            [_, b'n', ..] => Self::Byte(b'\n', 2),
            [_, b'r', ..] => Self::Byte(b'\r', 2),
            [_, b'\\', ..] => Self::Byte(b'\\', 2),
            [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                Self::Byte(digit(*high) << 4 | digit(*low), MAX_ESCAPE_LEN)
            }
            [_] | [_, b'x'] => Self::Incomplete,
            [_, b'x', high] if high.is_ascii_hexdigit() => Self::Incomplete,
            _ => Self::Unknown,
        }
    }
}

/// The value of a hex digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of an escaped text. Checks that the result does not depend on how it is split.
    fn unescaped(text: &str) -> Result<Vec<u8>, BadEscape> {
        let text = text.as_bytes();
        let in_parts = |len: usize| {
            let (mut out, mut unescaper) = (Vec::new(), Unescaper::default());
            for part in text.chunks(len) {
                unescaper.push(part, |bytes| {
                    out.extend_from_slice(bytes);
                    Ok::<_, BadEscape>(())
                })?;
            }
            unescaper.finish().map(|()| out)
        };
        let whole = in_parts(text.len().max(1));
        for len in 1..=5 {
            let parts = in_parts(len);
            // If an escape is split, the error shows only its start, so the errors are compared by
            // position.
            let position = |error: &BadEscape| error.at;
            assert_eq!(parts.as_ref().map_err(position), whole.as_ref().map_err(position), "{len}");
        }
        whole
    }

    #[test]
    fn text_stays_and_the_rest_is_escaped() {
        for (bytes, text) in [
            (&b""[..], ""),
            ("Ä 😀 a;b".as_bytes(), "Ä 😀 a;b"),
            (b"a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
            (b"\x1b[31m\0\x7f", r"\x1b[31m\x00\x7f"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
            ("\u{feff}k".as_bytes(), r"\xef\xbb\xbfk"),
            ("\u{202e}\u{2028}".as_bytes(), r"\xe2\x80\xae\xe2\x80\xa8"),
            (b"\xff\xc3(", r"\xff\xc3("),
            (b"\xf0\x9f\x98", r"\xf0\x9f\x98"),
            (br"\N", r"\\N"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), text);
            assert_eq!(unescaped(text).as_deref(), Ok(bytes));
        }
        assert_eq!(unescaped(r"\xAb\xaB").unwrap(), b"\xab\xab");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain([0xe2, 0x82, 0xac]).collect();
        let text = Escaped(&all).to_string();
        assert!(!text.contains(char::is_control), "{text}");
        assert_eq!(unescaped(&text).unwrap(), all);
    }

    #[test]
    fn unknown_escapes_are_named_with_their_position() {
        for (text, escape, at) in [
            (r"ab\q", r"\q", 3),
            (r"\", r"\", 1),
            (r"\t\", r"\", 3),
            (r"\x1", r"\x1", 1),
            (r"a\xg0z", r"\xg0", 2),
            (r"\N", r"\N", 1),
        ] {
            let expected = BadEscape { escape: escape.to_owned(), at };
            assert_eq!(unescaped(text), Err(expected));
        }
    }
}
