//! The text of JSON strings, decoded part by part: no memory is needed beside the line and the
//! result, and the system may refuse memory for the result.

use std::borrow::Cow;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, DecodeError, HEXLOWER_PERMISSIVE};

use super::LineError;
use super::bounded::Bounded;
use crate::notation::{Notation, NotationError};

/// Length of the digits that are decoded at once, a multiple of 2 and 4.
const DIGITS_LEN: usize = 4 << 10;
/// Highest depth of arrays and objects in a line. Python's `json` refuses deeper ones too.
const MAX_DEPTH: usize = 10_000;

/// Checks the depth of arrays and objects, for which the parser takes memory. O(length).
pub(super) fn check_depth(line: &str) -> Result<(), LineError> {
    if line.len() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut is_string, mut is_escape) = (0_usize, false, false);
    for byte in line.bytes() {
        match byte {
            _ if is_escape => is_escape = false,
            b'\\' => is_escape = is_string,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => depth += 1,
            // More ends than starts are an error that the parser reports.
            b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(LineError::TooDeep { max: MAX_DEPTH });
        }
    }
    Ok(())
}

/// A JSON value as written, which a parser has accepted.
#[derive(Clone, Copy)]
pub(super) struct JsonText<'a> {
    /// The text within the quotes of a string; the whole text of any other value.
    text: &'a str,
    is_string: bool,
}

impl<'a> JsonText<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        let string = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Self { text: string.unwrap_or(json), is_string: string.is_some() }
    }

    /// The text that the value stands for, in memory that the system may refuse.
    pub(super) fn decoded(self) -> Result<Cow<'a, str>, LineError> {
        if self.as_written().is_some() {
            return Ok(Cow::Borrowed(self.text));
        }
        let mut decoded = Bounded::new();
        self.unescape(|part| {
            let len = decoded.len() + part.len();
            decoded.append(part, usize::MAX).map_err(|_| LineError::NoMemory { len })
        })?;
        let decoded = String::from_utf8(decoded.into_vec());
        decoded.map(Cow::Owned).map_err(|error| {
            debug_assert!(false, "characters are text");
            LineError::NotUtf8 { at: error.utf8_error().valid_up_to() + 1 }
        })
    }

    /// The text that the value stands for, if it has no escapes.
    pub(super) fn as_written(self) -> Option<&'a [u8]> {
        (!self.is_string || !self.text.contains('\\')).then_some(self.text.as_bytes())
    }

    /// Passes the text that the value stands for to `out`, part by part.
    pub(super) fn unescape(
        self,
        mut out: impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        if let Some(text) = self.as_written() {
            return out(text);
        }
        let mut rest = self.text;
        while let Some((before, escape)) = rest.split_once('\\') {
            out(before.as_bytes())?;
            let (decoded, behind) = unescaped(escape)?;
            out(decoded.encode_utf8(&mut [0; 4]).as_bytes())?;
            rest = behind;
        }
        out(rest.as_bytes())
    }
}

/// The character of an escape, of which the backslash was removed, and the text behind it.
pub(super) fn unescaped(escape: &str) -> Result<(char, &str), LineError> {
    let mut chars = escape.chars();
    let decoded = match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(same @ ('"' | '\\' | '/')) => same,
        Some('u') => return unescaped_unit(chars.as_str()),
        _ => return Err(LineError::JsonEscape),
    };
    Ok((decoded, chars.as_str()))
}

/// The character of one UTF-16 unit, or of two that form a pair.
fn unescaped_unit(digits: &str) -> Result<(char, &str), LineError> {
    let (first, behind) = unit(digits)?;
    if let Some(decoded) = char::from_u32(first) {
        return Ok((decoded, behind));
    }
    let second = behind.strip_prefix("\\u").ok_or(LineError::JsonEscape)?;
    let (second, behind) = unit(second)?;
    let pair = [first, second].map(u16::try_from);
    let [Ok(first), Ok(second)] = pair else { return Err(LineError::JsonEscape) };
    match char::decode_utf16([first, second]).next() {
        Some(Ok(decoded)) => Ok((decoded, behind)),
        _ => Err(LineError::JsonEscape),
    }
}

/// The number of four hex digits, and the text behind them.
pub(super) fn unit(text: &str) -> Result<(u32, &str), LineError> {
    let (digits, behind) = text.split_at_checked(4).ok_or(LineError::JsonEscape)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16) {
        Ok(number) if are_digits => Ok((number, behind)),
        _ => Err(LineError::JsonEscape),
    }
}

/// Decodes hex or base64, and passes the bytes to `put`, part by part. `refuse` makes the error of
/// digits that are none. Text in another notation is decoded as a whole.
pub(super) fn decode_digits(
    notation: Notation,
    digits: &[u8],
    put: &mut impl FnMut(&[u8]) -> Result<(), LineError>,
    refuse: impl Fn(NotationError) -> LineError,
) -> Result<(), LineError> {
    type OfCause = fn(DecodeError) -> NotationError;
    let (alphabet, digits, of_cause): (_, _, OfCause) = match notation {
        Notation::Hex => (HEXLOWER_PERMISSIVE, digits, NotationError::Hex),
        Notation::Base64 => {
            // Either alphabet (standard and URL-safe), with or without padding.
            let padding = digits.iter().rev().take_while(|byte| **byte == b'=').count();
            // The padding is a part of the digits, so it is never longer.
            let digits = digits.get(..digits.len() - padding).unwrap_or(digits);
            match digits.iter().any(|byte| matches!(byte, b'-' | b'_')) {
                true => (BASE64URL_NOPAD, digits, NotationError::Base64),
                false => (BASE64_NOPAD, digits, NotationError::Base64),
            }
        }
        Notation::Raw | Notation::Escaped => {
            return put(&notation.decode(digits).map_err(refuse)?);
        }
    };
    let mut start = 0;
    for part in digits.chunks(DIGITS_LEN) {
        let decoded = alphabet.decode(part).map_err(|DecodeError { position, kind }| {
            refuse(of_cause(DecodeError { position: start + position, kind }))
        })?;
        put(&decoded)?;
        start += part.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescape(json: &str) -> Option<String> {
        let mut out = Vec::new();
        let unescaped = JsonText::new(json).unescape(|part| {
            out.extend_from_slice(part);
            Ok(())
        });
        unescaped.ok().map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn strings_are_those_of_serde() {
        for json in [
            r#""""#,
            r#""plain ä 😀""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u0041\u00e4\u20AC\ud83d\ude00!""#,
            r#""\u0000\\u0041""#,
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
        ] {
            assert_eq!(unescape(json), serde_json::from_str(json).ok(), "{json}");
        }
        assert_eq!(unescape("-1.50e3").as_deref(), Some("-1.50e3"));
        for json in [r#""\u+041""#, r#""\u12""#, r#""\x""#, r#""\""#] {
            assert_eq!(unescape(json), None, "{json}");
        }
    }

    #[test]
    fn digits_are_decoded_however_many_there_are() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|i| u8::try_from(i * i % 251).unwrap()).collect();
        let decode = |notation: Notation, digits: &str| {
            let mut out = Vec::new();
            let mut put = |part: &[u8]| {
                out.extend_from_slice(part);
                Ok(())
            };
            let refuse = |cause| LineError::Encoding { field: "v".to_owned(), cause };
            let decoded = decode_digits(notation, digits.as_bytes(), &mut put, refuse);
            decoded.map(|()| out)
        };
        for len in [0, 1, 2, 3, 2047, 2048, 2049, 3071, 3072, 3073, 20_000] {
            let bytes = &bytes[..len];
            let hex = data_encoding::HEXLOWER.encode(bytes);
            assert_eq!(decode(Notation::Hex, &hex).unwrap(), bytes);
            for encoded in [
                data_encoding::BASE64.encode(bytes),
                BASE64_NOPAD.encode(bytes),
                data_encoding::BASE64URL.encode(bytes),
            ] {
                assert_eq!(decode(Notation::Base64, &encoded).unwrap(), bytes, "{len}");
            }
            assert!(decode(Notation::Hex, &format!("{hex}0")).is_err());
        }
        let wrong = format!("{}x0", "00".repeat(5000));
        let Err(LineError::Encoding { cause, .. }) = decode(Notation::Hex, &wrong) else {
            panic!("x is no digit");
        };
        let whole = HEXLOWER_PERMISSIVE.decode(wrong.as_bytes()).unwrap_err();
        assert_eq!(cause, NotationError::Hex(whole));
    }

    #[test]
    fn lines_have_a_highest_depth() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check_depth(&nested(MAX_DEPTH)).is_ok());
        assert!(check_depth(&nested(MAX_DEPTH + 1)).is_err());
        assert!(check_depth(&"[],".repeat(MAX_DEPTH)).is_ok());
        assert!(check_depth(&format!("\"\\\"{}\"", "[".repeat(2 * MAX_DEPTH))).is_ok());
    }
}
