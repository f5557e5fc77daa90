//! The text of a JSON record while it is read, without the long strings in it.
//!
//! A record is parsed as a whole. So that a long value need not fit into memory, a long string that
//! is a field of the record itself leaves the text while it is read: decoded if the field is the
//! value, else for good. The text has an empty string in its place:
//!
//! ```text
//! read    {"key": "k", "value": "a text of 5 GiB …", "note": "…"}
//! text    {"key": "k", "value": "", "note": "…"}
//! ```

use std::ops::Range;

use sst_format::limits::MAX_KEY_LEN;

use super::LineError;
use super::bounded::Bounded;
use super::json_string_decoder::{JsonStringDecoder, LoneSurrogates};
use super::json_text::JsonText;

/// Length of the longest string that stays in the text in any case. A shorter record is held as it
/// is.
const LONG_LEN: usize = 256 << 10;
/// Highest number of bytes in a record besides key and value.
const MAX_REST_LEN: usize = 1 << 20;
/// Bytes of JSON text for one byte in hex, the longest encoding without escapes.
const LEN_OF_BYTE: usize = 2;
/// Length of the longest escape of one byte: `\u0001`.
const LEN_OF_ESCAPE: usize = 6;

/// Where a long string of a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// It stays in the text.
    Text,
    /// It is the value.
    Value,
    /// It is neither key nor value.
    Nothing,
}

/// The treatment of the long strings of a record.
pub(super) trait LongStrings {
    /// Where the string goes that is the field of this name.
    fn destination(&self, name: &str) -> Destination;

    /// Takes the next bytes of the value.
    fn append_value(&mut self, bytes: &[u8]) -> Result<(), LineError>;
}

/// The text of the current record. Its buffer is reused for the next record.
#[derive(Debug, Default)]
pub(super) struct RecordText {
    held: Bounded,
    weight: Weight,
    /// `None` as long as the record is short.
    scan: Option<Scan>,
    /// Where the text has the empty string in place of the value.
    value_at: Option<usize>,
    error: Option<LineError>,
}

/// The place that was reached in the record.
#[derive(Debug, Default)]
struct Scan {
    /// Arrays and objects that are open.
    depth: usize,
    /// The last byte outside of strings that is no whitespace.
    before: u8,
    /// The last string in the text, with its quotes: the name of a field, if a colon follows.
    last_string: Range<usize>,
    string: Option<OpenString>,
}

/// A string that has not ended.
#[derive(Debug)]
struct OpenString {
    /// Where its opening quote is in the text.
    start: usize,
    /// Whether it is a field of the record itself that may leave the text.
    may_leave: bool,
    /// Whether the last byte was a backslash that escapes the next one.
    after_backslash: bool,
    /// The weight of the text before the string.
    weight: Weight,
    /// `None` as long as the string is held in the text.
    left: Option<(Destination, JsonStringDecoder)>,
}

impl RecordText {
    /// Starts the next record.
    pub(super) fn clear(&mut self, max_value: usize) {
        self.held.clear();
        self.weight = Weight::new(max_value);
        (self.scan, self.value_at, self.error) = (None, None, None);
    }

    /// Appends the next bytes of the record.
    pub(super) fn append(&mut self, part: &[u8], strings: &mut impl LongStrings) {
        if self.error.is_none() {
            self.error = self.try_append(part, strings).err();
        }
    }

    /// The text, and where it has the empty string in place of the value, if the value has left it.
    pub(super) fn finish(&mut self) -> Result<(&[u8], Option<usize>), LineError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok((&self.held, self.value_at)),
        }
    }

    fn try_append(&mut self, part: &[u8], strings: &mut impl LongStrings) -> Result<(), LineError> {
        if self.scan.is_none() && self.held.len() + part.len() > LONG_LEN {
            self.scan = Some(Scan::default());
            self.weight = self.weight.empty();
            let held = std::mem::take(&mut self.held);
            self.scan(&held, strings)?;
        }
        match self.scan {
            Some(_) => self.scan(part, strings),
            None => self.hold(part),
        }
    }

    /// Appends bytes to the text, and looks for long strings.
    fn scan(&mut self, mut rest: &[u8], strings: &mut impl LongStrings) -> Result<(), LineError> {
        while !rest.is_empty() {
            let Some(scan) = &mut self.scan else { return self.hold(rest) };
            let (is_end, part_len) = match &mut scan.string {
                Some(string) => string.end_in(rest),
                None => scan.string_in(rest),
            };
            let (part, behind) = rest.split_at_checked(part_len).unwrap_or((rest, &[]));
            match scan.string.is_some() {
                true => self.append_string(part, strings)?,
                false => self.hold(part)?,
            }
            if is_end {
                // The quote, which opens or closes a string.
                self.turn(strings)?;
                rest = behind.get(1..).unwrap_or(&[]);
            } else {
                rest = behind;
            }
        }
        Ok(())
    }

    /// Passes the quote between a string and what is outside of strings.
    fn turn(&mut self, strings: &mut impl LongStrings) -> Result<(), LineError> {
        let start = self.held.len();
        let weight = self.weight;
        let ended = self.scan.as_mut().and_then(|scan| scan.string.take());
        self.hold(b"\"")?;
        // Without a scan all of the text is held, and so is the quote now.
        let Some(scan) = &mut self.scan else { return Ok(()) };
        match ended {
            None => {
                let may_leave = scan.depth == 1 && scan.before == b':';
                scan.before = b'"';
                scan.string = Some(OpenString {
                    start,
                    may_leave,
                    after_backslash: false,
                    weight,
                    left: None,
                });
                Ok(())
            }
            Some(OpenString { left: Some((destination, decoder)), .. }) => {
                decoder.finish(&mut |bytes| put(destination, bytes, strings))
            }
            Some(OpenString { start, .. }) => {
                scan.last_string = start..self.held.len();
                Ok(())
            }
        }
    }

    /// Appends bytes of a string.
    fn append_string(
        &mut self,
        part: &[u8],
        strings: &mut impl LongStrings,
    ) -> Result<(), LineError> {
        let Some(Scan { string: Some(string), last_string, .. }) = &mut self.scan else {
            return self.hold(part);
        };
        if let Some((destination, decoder)) = &mut string.left {
            let destination = *destination;
            return decoder.decode(part, &mut |bytes| put(destination, bytes, strings));
        }
        if !string.may_leave || self.held.len() - string.start + part.len() <= LONG_LEN {
            return self.hold(part);
        }
        let name = self.held.get(last_string.clone()).and_then(|name| str::from_utf8(name).ok());
        let name = name.and_then(|name| JsonText::new(name).decoded().ok());
        // Parsing the text finds errors in the name.
        let destination = name.map_or(Destination::Text, |name| strings.destination(&name));
        let lone = match destination {
            Destination::Text => {
                string.may_leave = false;
                return self.hold(part);
            }
            // A second value is an error, which the parser finds.
            Destination::Value if self.value_at.is_some() => {
                string.may_leave = false;
                return self.hold(part);
            }
            Destination::Value => {
                self.value_at = Some(string.start);
                LoneSurrogates::Refuse
            }
            Destination::Nothing => LoneSurrogates::PassOver,
        };
        let mut decoder = JsonStringDecoder::new(lone);
        let held = self.held.get(string.start + 1..).unwrap_or(&[]);
        decoder.decode(held, &mut |bytes| put(destination, bytes, strings))?;
        decoder.decode(part, &mut |bytes| put(destination, bytes, strings))?;
        string.left = Some((destination, decoder));
        self.held.truncate(string.start + 1);
        self.weight = string.weight;
        Ok(())
    }

    /// Appends bytes to the text.
    fn hold(&mut self, part: &[u8]) -> Result<(), LineError> {
        if !self.weight.add(part) {
            return Err(LineError::LineTooLong { max: self.weight.max });
        }
        let len = self.held.len() + part.len();
        self.held.append(part, usize::MAX).map_err(|_| LineError::NoMemory { len })
    }
}

impl Scan {
    /// Whether a string starts in these bytes, and the number of bytes before it.
    fn string_in(&mut self, bytes: &[u8]) -> (bool, usize) {
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => return (true, i),
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'{' | b'[' => self.depth += 1,
                // More ends than starts are an error that the parser reports.
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.before = byte;
        }
        (false, bytes.len())
    }
}

impl OpenString {
    /// Whether the string ends in these bytes, and the number of its bytes among them.
    fn end_in(&mut self, bytes: &[u8]) -> (bool, usize) {
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => return (true, i),
                _ => {}
            }
        }
        (false, bytes.len())
    }
}

fn put(
    destination: Destination,
    bytes: &[u8],
    strings: &mut impl LongStrings,
) -> Result<(), LineError> {
    match destination {
        Destination::Value => strings.append_value(bytes),
        Destination::Text | Destination::Nothing => Ok(()),
    }
}

/// The weight of a text: its length, where each `\u` escape counts as one byte.
///
/// The limit on the weight has two effects. Every key and value within their limits fits, however
/// it is written. And a line without escapes takes little more memory than its key and value.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    len: usize,
    escapes: usize,
    /// Whether the last byte was a backslash.
    after_backslash: bool,
    max: usize,
}

impl Weight {
    fn new(max_value: usize) -> Self {
        let max = (MAX_KEY_LEN.saturating_add(max_value)).saturating_mul(LEN_OF_BYTE);
        // If the product saturates, the limit is larger than the address space.
        Self { max: max.saturating_add(MAX_REST_LEN), ..Self::default() }
    }

    /// The weight of no text, with the same limit.
    fn empty(self) -> Self {
        Self { max: self.max, ..Self::default() }
    }

    /// Adds a part of the text. `false` if it is too heavy.
    fn add(&mut self, part: &[u8]) -> bool {
        if self.len + part.len() > self.max / 2 {
            // Far below the limit, skip the count of escapes; that can only overestimate the
            // weight.
            for &byte in part {
                self.escapes += usize::from(self.after_backslash && byte == b'u');
                self.after_backslash = byte == b'\\';
            }
        }
        self.len += part.len();
        // An escaped backslash before `u` counts as an escape too, so the difference may be too
        // small.
        let weight = self.len.saturating_sub(self.escapes * (LEN_OF_ESCAPE - 1));
        weight.max(self.len / LEN_OF_ESCAPE) <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Strings {
        value: Vec<u8>,
    }

    impl LongStrings for Strings {
        fn destination(&self, name: &str) -> Destination {
            match name {
                "v" => Destination::Value,
                "k" => Destination::Text,
                _ => Destination::Nothing,
            }
        }

        fn append_value(&mut self, bytes: &[u8]) -> Result<(), LineError> {
            self.value.extend_from_slice(bytes);
            Ok(())
        }
    }

    /// The text and the value that leaves it, which must not depend on how the record is cut.
    fn read(record: &str) -> Result<(String, Option<usize>, String), LineError> {
        let in_parts = |len: usize| {
            let (mut text, mut strings) = (RecordText::default(), Strings { value: Vec::new() });
            text.clear(64 << 20);
            record.as_bytes().chunks(len).for_each(|part| text.append(part, &mut strings));
            let (held, value_at) = text.finish()?;
            let held = String::from_utf8(held.to_vec()).unwrap();
            Ok((held, value_at, String::from_utf8(strings.value).unwrap()))
        };
        let whole: Result<_, LineError> = in_parts(record.len());
        for len in [1000, 4097, LONG_LEN - 1, LONG_LEN] {
            assert_eq!(in_parts(len).ok(), whole.as_ref().ok().cloned());
        }
        whole
    }

    #[test]
    fn long_strings_that_are_fields_leave_the_text() {
        let long = "ab\\n\\\"c".repeat(LONG_LEN / 4);
        let decoded = long.replace("\\n", "\n").replace("\\\"", "\"");
        let (text, at, value) =
            read(&format!(r#"{{"k":"{long}" , "v" : "{long}","x":1}}"#)).unwrap();
        assert!(text == format!(r#"{{"k":"{long}" , "v" : "","x":1}}"#) && value == decoded);
        assert_eq!(at, text.find("\"\","));
        let (text, at, value) = read(&format!(r#"{{"x":"{long}","\u0076":"{long}"}}"#)).unwrap();
        assert_eq!(text, r#"{"x":"","\u0076":""}"#);
        assert_eq!((at, value == decoded), (text.rfind("\"\""), true));
        // The second value is left for the parser.
        let (text, _, _) = read(&format!(r#"{{"v":"{long}","v":"{long}"}}"#)).unwrap();
        assert!(text == format!(r#"{{"v":"","v":"{long}"}}"#));
    }

    #[test]
    fn other_long_strings_and_short_records_stay() {
        let long = "x".repeat(LONG_LEN + 1);
        for record in [
            format!(r#"{{"v":{{"v":"{long}"}}}}"#),
            format!(r#"{{"v":["{long}"]}}"#),
            format!(r#"["v","{long}"]"#),
            format!(r#"{{"{long}":1}}"#),
            format!(r#""{long}""#),
            r#"{"v":"short"}"#.to_owned(),
        ] {
            let (text, at, value) = read(&record).unwrap();
            assert!(text == record && at.is_none() && value.is_empty());
        }
    }

    #[test]
    fn what_is_wrong_in_a_long_string_is_an_error() {
        let long = "x".repeat(LONG_LEN + 1);
        for (name, wrong) in
            [("v", r"\q"), ("v", "\u{1}"), ("v", r"\ud83d"), ("other", r"\q"), ("other", "\n")]
        {
            let record = format!(r#"{{"{name}":"{long}{wrong}"}}"#);
            assert!(read(&record).is_err(), "{name} {wrong:?}");
        }
        assert!(read(&format!(r#"{{"other":"{long}\ud83d"}}"#)).is_ok());
        let mut text = RecordText::default();
        text.clear(1 << 20);
        let mut strings = Strings { value: Vec::new() };
        (0..40).for_each(|_| text.append(&[b'['; 1 << 20], &mut strings));
        assert!(matches!(text.finish(), Err(LineError::LineTooLong { .. })));
    }
}
