//! Decodes a JSON string that comes in parts, so that it need not fit into memory.

use super::LineError;
use super::json_text::{unescaped, unit};

/// Bytes that are decoded at once.
const PART_LEN: usize = 8 << 10;
/// Length of the longest escape: the two halves of a surrogate pair.
const MAX_ESCAPE_LEN: usize = 12;

/// The treatment of a surrogate without its other half. It stands for no character, but Python's
/// `json` accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoneSurrogates {
    Refuse,
    /// For a string that is read only to find where it ends.
    PassOver,
}

/// Decodes the text within the quotes of a string.
#[derive(Debug)]
pub(super) struct JsonStringDecoder {
    lone: LoneSurrogates,
    /// Bytes that may be the start of a character or of an escape.
    pending: Vec<u8>,
}

impl JsonStringDecoder {
    pub(super) const fn new(lone: LoneSurrogates) -> Self {
        Self { lone, pending: Vec::new() }
    }

    /// Decodes the next part of the text, and passes the decoded bytes to `put`.
    pub(super) fn decode(
        &mut self,
        text: &[u8],
        put: &mut impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        for part in text.chunks(PART_LEN) {
            self.pending.extend_from_slice(part);
            let used = self.decode_pending(false, put)?;
            self.pending.drain(..used);
        }
        Ok(())
    }

    /// Decodes the end of the text.
    pub(super) fn finish(
        self,
        put: &mut impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        self.decode_pending(true, put).map(drop)
    }

    /// Decodes the pending bytes, but for an incomplete character or escape at their end, unless
    /// the text ends there. Returns the number of bytes that were decoded.
    fn decode_pending(
        &self,
        is_end: bool,
        put: &mut impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<usize, LineError> {
        let mut rest = self.pending.as_slice();
        loop {
            let plain_len = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            let (plain, escape) = rest.split_at_checked(plain_len).unwrap_or((rest, &[]));
            let is_cut = escape.is_empty() && !is_end;
            let plain = whole_characters(plain, is_cut)?;
            put(plain)?;
            rest = rest.get(plain.len()..).unwrap_or(&[]);
            let is_incomplete = escape.len() < MAX_ESCAPE_LEN && !is_end;
            if escape.is_empty() || is_incomplete {
                return Ok(self.pending.len() - rest.len());
            }
            let used = self.decode_escape(escape, put)?;
            rest = rest.get(used..).unwrap_or(&[]);
        }
    }

    /// Decodes the escape at the start of `text`. Returns its length.
    fn decode_escape(
        &self,
        text: &[u8],
        put: &mut impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<usize, LineError> {
        let escape = text.get(1..MAX_ESCAPE_LEN.min(text.len())).unwrap_or(&[]);
        let escape = match str::from_utf8(escape) {
            Ok(escape) => escape,
            // A character behind the escape is cut.
            Err(error) => str::from_utf8(escape.get(..error.valid_up_to()).unwrap_or(&[]))
                .map_err(|_| LineError::JsonEscape)?,
        };
        match unescaped(escape) {
            Ok((decoded, behind)) => {
                put(decoded.encode_utf8(&mut [0; 4]).as_bytes())?;
                Ok(1 + escape.len() - behind.len())
            }
            Err(error) => {
                let unit = escape.strip_prefix('u').map(unit);
                match (unit, self.lone) {
                    (Some(Ok((_, behind))), LoneSurrogates::PassOver) => {
                        Ok(1 + escape.len() - behind.len())
                    }
                    _ => Err(error),
                }
            }
        }
    }
}

/// The text without a character that is cut at its end, which only a cut text may have.
fn whole_characters(text: &[u8], is_cut: bool) -> Result<&[u8], LineError> {
    if text.iter().any(|byte| *byte < b' ') {
        return Err(LineError::JsonControl);
    }
    match str::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            Ok(text.get(..error.valid_up_to()).unwrap_or(&[]))
        }
        Err(error) => Err(LineError::NotUtf8 { at: error.valid_up_to() + 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the text in parts of each length, which must not matter.
    fn decode(text: &[u8], lone: LoneSurrogates) -> Result<Vec<u8>, LineError> {
        let in_parts = |len: usize| {
            let (mut decoder, mut out) = (JsonStringDecoder::new(lone), Vec::new());
            let mut put = |bytes: &[u8]| {
                out.extend_from_slice(bytes);
                Ok(())
            };
            for part in text.chunks(len) {
                decoder.decode(part, &mut put)?;
            }
            decoder.finish(&mut put).map(|()| out)
        };
        let whole: Result<_, LineError> = in_parts(text.len().max(1));
        for len in 1..20 {
            assert_eq!(in_parts(len).ok(), whole.as_ref().ok().cloned(), "{text:?} {len}");
        }
        whole
    }

    #[test]
    fn strings_are_those_of_serde() {
        for text in [
            "",
            "plain ä 😀 €",
            r#"\"\\\/\b\f\n\r\t"#,
            r"\u0041\u00e4\u20AC\ud83d\ude00!",
            r"\u0000\\u0041",
            r"ä\u00e4ä\ud83d\ude00ä",
            r"\ud83d",
            r"\ude00",
            r"\ud83d\ud83d",
            r"\ud83dx",
            r"\ud83d\n",
            r"\u12",
            r"\x",
            r"\",
            "a\nb",
            "\u{1f}",
            "\u{7f}",
        ] {
            let serde = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
            let decoded = decode(text.as_bytes(), LoneSurrogates::Refuse).ok();
            assert_eq!(decoded.map(|text| String::from_utf8(text).unwrap()), serde, "{text}");
        }
        let long = "ä😀\\n\\u00e4".repeat(5000);
        let serde: String = serde_json::from_str(&format!("\"{long}\"")).unwrap();
        assert!(decode(long.as_bytes(), LoneSurrogates::Refuse).unwrap() == serde.as_bytes());
    }

    #[test]
    fn what_is_no_text_is_refused_and_lone_surrogates_are_passed_over_if_wanted() {
        for text in [&b"\xff"[..], b"a\xc3", b"\xc3\\n", b"\xe2\x82\""] {
            assert!(decode(text, LoneSurrogates::PassOver).is_err(), "{text:?}");
        }
        for (text, expected) in [(r"a\ud83db", "ab"), (r"\ude00", ""), (r"\ud83d\n", "\n")] {
            let decoded = decode(text.as_bytes(), LoneSurrogates::PassOver).unwrap();
            assert_eq!(decoded, expected.as_bytes(), "{text}");
        }
    }
}
