//! Bytes as one line of text, and back.
//!
//! What `sst scan` and `sst get` print and what `sst load` reads as TSV follow the same rules, so the output of one is
//! the input of the other:
//!
//! | in text | stands for |
//! |---|---|
//! | `\t` `\n` `\r` `\\` | tab, line feed, carriage return, backslash |
//! | `\x00` … `\xff` | this byte |
//! | `\N` alone, as a value | no value: a deletion |
//! | anything else | itself |
//!
//! Printing escapes tabs, backslashes, control characters and bytes that are not UTF-8, so nothing in a file can steer
//! the terminal it is shown on.

use std::fmt::{self, Write as _};

/// What stands for a deletion where a value is expected.
pub(crate) const DELETED: &str = r"\N";

/// Shows bytes as text by the rules above.
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
                    c if c.is_control() => {
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

fn hex(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    write!(f, r"\x{byte:02x}")
}

/// An escape that the rules don't know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown escape {escape} at byte {at}: use \\t \\n \\r \\\\ or \\x and two hex digits")]
pub(crate) struct BadEscape {
    /// The escape, as text.
    escape: String,
    /// Where it starts, in bytes, counted from 1.
    at: usize,
}

/// Appends the bytes that `text` stands for to `out`.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), BadEscape> {
    let mut rest = text;
    while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
        let (before, escape) = rest.split_at_checked(backslash).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let (byte, len) = match escape {
            [_, b't', ..] => (b'\t', 2),
            [_, b'n', ..] => (b'\n', 2),
            [_, b'r', ..] => (b'\r', 2),
            [_, b'\\', ..] => (b'\\', 2),
            [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), 4)
            }
            _ => {
                let shown = if escape.get(1) == Some(&b'x') { 4 } else { 2 };
                let shown = escape.get(..shown).unwrap_or(escape);
                let escape = String::from_utf8_lossy(shown).into_owned();
                return Err(BadEscape { escape, at: text.len() - rest.len() + backslash + 1 });
            }
        };
        out.push(byte);
        rest = escape.get(len..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
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

    fn unescaped(text: &str) -> Result<Vec<u8>, BadEscape> {
        let mut out = Vec::new();
        unescape(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn text_stays_and_the_rest_is_escaped() {
        for (bytes, text) in [
            (&b""[..], ""),
            ("Ä 😀 a;b".as_bytes(), "Ä 😀 a;b"),
            (b"a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
            (b"\x1b[31m\0\x7f", r"\x1b[31m\x00\x7f"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
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
    fn unknown_escapes_are_named_with_their_place() {
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
