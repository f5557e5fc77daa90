//! JSON lines: one object per line.
//!
//! A string stands for its characters in UTF-8. Any other value stands for its JSON text as
//! written, except that `null` as the value deletes the key. Bytes that are not UTF-8 come in
//! fields with other names: `key_hex`, `key_base64`, `value_hex`, `value_base64`. Other fields and
//! empty lines are ignored.
//!
//! A line is accepted if Python's `json` accepts it, with three exceptions, which have no
//! unambiguous meaning as bytes: `NaN` and `Infinity`, which are not JSON; a lone surrogate in a
//! key or value, which is not UTF-8; a key or value that occurs twice.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sst_format::limits::MAX_KEY_LEN;

use super::input_args::InputArgs;
use super::lines::{Line, Lines};
use super::{EntryReader, InputEntry, InputError, LineError, Step};
use crate::end_mark::EndMark;

/// Highest number of bytes in a line besides key and value.
const MAX_REST_LEN: usize = 1 << 20;
/// Bytes of JSON text for one byte in hex, the longest encoding without escapes.
const LEN_OF_BYTE: usize = 2;
/// Length of the longest escape of one byte: `\u0001`.
const LEN_OF_ESCAPE: usize = 6;

pub(super) struct JsonLinesReader<R> {
    lines: Lines<R>,
    key: FieldNames,
    value: FieldNames,
    max_value: usize,
}

impl<R: BufRead> JsonLinesReader<R> {
    pub(super) fn new(source: R, options: &InputArgs) -> Self {
        Self {
            lines: Lines::new(source),
            key: FieldNames::new(options.key_field()),
            value: FieldNames::new(options.value_field()),
            max_value: options.max_value,
        }
    }
}

impl<R: BufRead> EntryReader for JsonLinesReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError> {
        let mut weight = Weight::new(self.max_value);
        let Some(Line { number, text }) = self.lines.next_whole(|part| weight.add(part))? else {
            return Ok(Step::End);
        };
        entry.clear(number);
        let at_line = |cause| InputError::Line { line: number, cause };
        let too_long = LineError::TooLong { what: "line", max: weight.max };
        let line = text.ok_or_else(|| at_line(too_long))?;
        if let Some(mark) = EndMark::parse_json(line) {
            return Ok(Step::Mark(mark));
        }
        // serde does not check ignored fields for UTF-8, so check the whole line first.
        let line = str::from_utf8(line)
            .map_err(|error| at_line(LineError::NotUtf8 { at: error.valid_up_to() + 1 }))?;
        let mut json = serde_json::Deserializer::from_str(line);
        let fields = json
            .deserialize_map(Fields { key: &self.key, value: &self.value })
            .and_then(|fields| json.end().map(|()| fields))
            .map_err(|error| at_line(LineError::Json(error)))?;
        fields.write_to(&self.key, &self.value, self.max_value, entry).map_err(at_line)?;
        Ok(Step::Entry)
    }
}

/// The weight of a line: its length, where each `\u` escape counts as one byte.
///
/// The limit on the weight has two effects. Every key and value within their limits fits, however
/// it is written. And a line without escapes takes little more memory than its key and value.
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
        let max = max.saturating_add(MAX_REST_LEN);
        Self { len: 0, escapes: 0, after_backslash: false, max }
    }

    /// Adds a part of the line. `false` if the line is too heavy.
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

/// The names of the fields that may hold a key or a value.
struct FieldNames {
    plain: String,
    hex: String,
    base64: String,
}

impl FieldNames {
    fn new(name: &str) -> Self {
        Self {
            plain: name.to_owned(),
            hex: format!("{name}_hex"),
            base64: format!("{name}_base64"),
        }
    }

    fn encoding(&self, field: &str) -> Option<Encoding> {
        match field {
            _ if field == self.plain => Some(Encoding::Text),
            _ if field == self.hex => Some(Encoding::Hex),
            _ if field == self.base64 => Some(Encoding::Base64),
            _ => None,
        }
    }
}

/// The encoding of a field's text.
#[derive(Clone, Copy)]
enum Encoding {
    Text,
    Hex,
    Base64,
}

/// The key and value fields of an object, as written.
#[derive(Default)]
struct FoundFields<'a> {
    key: Vec<(Encoding, &'a RawValue)>,
    value: Vec<(Encoding, &'a RawValue)>,
}

struct Fields<'n> {
    key: &'n FieldNames,
    value: &'n FieldNames,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = FoundFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = FoundFields::default();
        while let Some(name) = map.next_key::<String>()? {
            if let Some(encoding) = self.key.encoding(&name) {
                found.key.push((encoding, map.next_value()?));
            } else if let Some(encoding) = self.value.encoding(&name) {
                found.value.push((encoding, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl FoundFields<'_> {
    fn write_to(
        &self,
        key: &FieldNames,
        value: &FieldNames,
        max_value: usize,
        entry: &mut InputEntry,
    ) -> Result<(), LineError> {
        let put = |bytes: &[u8]| entry.key.append(bytes, MAX_KEY_LEN).map_err(LineError::of_key);
        if !decode_field(&self.key, key, put)? {
            return Err(LineError::NullKey);
        }
        let value_bytes = &mut entry.value;
        let put = |bytes: &[u8]| {
            let appended = value_bytes.append(bytes, max_value);
            appended.map_err(|refused| LineError::of_value(refused, max_value))
        };
        entry.is_deletion = !decode_field(&self.value, value, put)?;
        Ok(())
    }
}

/// Decodes a field and passes the bytes to `put`. `false` if the field is null.
fn decode_field(
    found: &[(Encoding, &RawValue)],
    names: &FieldNames,
    put: impl FnOnce(&[u8]) -> Result<(), LineError>,
) -> Result<bool, LineError> {
    let (encoding, json) = match found {
        [] => return Err(LineError::NoField(names.plain.clone())),
        [one] => *one,
        _ => return Err(LineError::FieldTwice(names.plain.clone())),
    };
    if json.get() == "null" {
        return Ok(false);
    }
    let text: Cow<'_, str> = match json.get().starts_with('"') {
        true => serde_json::from_str::<String>(json.get()).map_err(LineError::Json)?.into(),
        false => json.get().into(),
    };
    let (field, name, decoded) = match encoding {
        Encoding::Text => {
            put(text.as_bytes())?;
            return Ok(true);
        }
        Encoding::Hex => (&names.hex, "hex", HEXLOWER_PERMISSIVE.decode(text.as_bytes())),
        Encoding::Base64 => (&names.base64, "base64", decode_base64(&text)),
    };
    let bytes = decoded.map_err(|cause| LineError::Encoding {
        field: field.clone(),
        encoding: name,
        cause: cause.to_string(),
    })?;
    put(&bytes)?;
    Ok(true)
}

/// Accepts both alphabets (standard and URL-safe), with or without padding.
fn decode_base64(text: &str) -> Result<Vec<u8>, data_encoding::DecodeError> {
    let digits = text.trim_end_matches('=').as_bytes();
    match digits.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => BASE64URL_NOPAD.decode(digits),
        false => BASE64_NOPAD.decode(digits),
    }
}
