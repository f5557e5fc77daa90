//! How the bytes of keys and values are written as text.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use clap::Args;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, DecodeError, HEXLOWER_PERMISSIVE};
use serde::ser::SerializeMap;

use crate::escape::{self, BadEscape, Escaped, Unescaper};

/// A notation of bytes as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Notation {
    /// Text with escapes, by the rules of [`escape`].
    #[default]
    Escaped,
    /// The bytes themselves.
    Raw,
    /// Two hex digits for each byte.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// The flags that choose a notation for the output.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct NotationArgs {
    /// Keys and values are in hex
    #[arg(long, group = "notation")]
    hex: bool,

    /// Keys and values are in base64
    #[arg(long, group = "notation")]
    base64: bool,

    /// Keys and values have the escapes that `sst scan` and `sst get` print, such as \t and \x00
    #[arg(long, group = "notation")]
    escaped: bool,
}

impl NotationArgs {
    /// The notation that a flag chooses; `None` if there is no flag.
    pub(crate) const fn given(self) -> Option<Notation> {
        match self {
            Self { hex: true, .. } => Some(Notation::Hex),
            Self { base64: true, .. } => Some(Notation::Base64),
            Self { escaped: true, .. } => Some(Notation::Escaped),
            Self { hex: false, base64: false, escaped: false } => None,
        }
    }

    /// The notation of output: escaped, unless a flag chooses another.
    pub(crate) fn of_output(self) -> Notation {
        self.given().unwrap_or_default()
    }

    /// The notation of input: the bytes themselves, unless a flag chooses another.
    pub(crate) fn of_input(self) -> Notation {
        self.given().unwrap_or(Notation::Raw)
    }
}

/// Text that is not in the notation in which it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotationError {
    /// An unknown escape.
    #[error(transparent)]
    Escape(#[from] BadEscape),
    /// Not hex.
    #[error("not hex")]
    Hex(#[source] DecodeError),
    /// Not base64.
    #[error("not base64")]
    Base64(#[source] DecodeError),
}

impl Notation {
    /// The bytes that the text stands for.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Cow<'_, [u8]>, NotationError> {
        match self {
            Self::Raw => Ok(text.into()),
            Self::Escaped if !text.contains(&b'\\') => Ok(text.into()),
            Self::Escaped => {
                let (mut bytes, mut unescaper) = (Vec::new(), Unescaper::default());
                unescaper.push(text, |part| {
                    bytes.extend_from_slice(part);
                    Ok::<_, BadEscape>(())
                })?;
                unescaper.finish()?;
                Ok(bytes.into())
            }
            Self::Hex => {
                let bytes = HEXLOWER_PERMISSIVE.decode(text).map_err(NotationError::Hex)?;
                Ok(bytes.into())
            }
            Self::Base64 => Ok(decode_base64(text).map_err(NotationError::Base64)?.into()),
        }
    }
}

/// Accepts both alphabets (standard and URL-safe), with or without padding.
pub(crate) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    // The padding is a part of the text, so it is never longer.
    let digits = text.get(..text.len() - padding).unwrap_or(text);
    match digits.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => BASE64URL_NOPAD.decode(digits),
        false => BASE64_NOPAD.decode(digits),
    }
}

/// Bytes as text in a notation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) notation: Notation,
}

impl<'a> Bytes<'a> {
    /// Bytes as escaped text.
    pub(crate) const fn escaped(bytes: &'a [u8]) -> Self {
        Self { bytes, notation: Notation::Escaped }
    }

    /// Writes the bytes in their notation.
    pub(crate) fn write_to(self, out: &mut impl Write) -> io::Result<()> {
        match self.notation {
            Notation::Escaped => escape::write(self.bytes, out),
            Notation::Raw => out.write_all(self.bytes),
            Notation::Hex | Notation::Base64 => write!(out, "{self}"),
        }
    }
}

/// For messages: raw bytes are escaped, so that they cannot control a terminal.
impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.notation {
            Notation::Escaped | Notation::Raw => Escaped(self.bytes).fmt(f),
            Notation::Hex => self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Notation::Base64 => BASE64.encode_display(self.bytes).fmt(f),
        }
    }
}

/// The names of a JSON field that holds bytes: one for each notation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldNames {
    text: &'static str,
    hex: &'static str,
    base64: &'static str,
}

/// A key.
pub(crate) const KEY: FieldNames = FieldNames { text: "key", hex: "key_hex", base64: "key_base64" };
/// A value.
pub(crate) const VALUE: FieldNames =
    FieldNames { text: "value", hex: "value_hex", base64: "value_base64" };
/// The value of an older table.
pub(crate) const OLD: FieldNames = FieldNames { text: "old", hex: "old_hex", base64: "old_base64" };
/// The value of a newer table.
pub(crate) const NEW: FieldNames = FieldNames { text: "new", hex: "new_hex", base64: "new_base64" };

/// Serializes bytes as text, or in hex if they are not UTF-8, unless the notation is hex or base64.
pub(crate) fn serialize_bytes<M: SerializeMap>(
    map: &mut M,
    names: FieldNames,
    Bytes { bytes, notation }: Bytes<'_>,
) -> Result<(), M::Error> {
    match (notation, str::from_utf8(bytes)) {
        (Notation::Escaped | Notation::Raw, Ok(text)) => map.serialize_entry(names.text, text),
        (Notation::Base64, _) => map.serialize_entry(names.base64, &BASE64.encode(bytes)),
        _ => {
            let hex = Bytes { bytes, notation: Notation::Hex };
            map.serialize_entry(names.hex, &format_args!("{hex}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read_as_it_is_written() {
        for bytes in [&b""[..], b"apple", b"a\\b\tc\n\0", "Zürich".as_bytes(), b"\xff\xfe"] {
            for notation in [Notation::Escaped, Notation::Raw, Notation::Hex, Notation::Base64] {
                let mut text = Vec::new();
                Bytes { bytes, notation }.write_to(&mut text).unwrap();
                assert_eq!(notation.decode(&text).unwrap(), bytes, "{notation:?}");
                if notation != Notation::Raw {
                    assert_eq!(Bytes { bytes, notation }.to_string().into_bytes(), text);
                }
            }
        }
    }

    #[test]
    fn base64_has_two_alphabets_and_may_be_padded() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(Notation::Base64.decode(text.as_bytes()).unwrap(), &b"\xfb\xff"[..]);
        }
        for text in ["+_8", "a", "!!!!"] {
            assert!(Notation::Base64.decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Notation::Hex.decode(b"abc").is_err());
        assert!(Notation::Escaped.decode(br"\q").is_err());
    }
}
