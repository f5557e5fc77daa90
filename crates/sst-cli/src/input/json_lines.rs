//! JSON lines: one object per line.
//!
//! A string stands for its characters in UTF-8, any other value for its JSON text as it was written, and a value of
//! `null` deletes the key. Bytes that are no UTF-8 come in fields of another name: `key_hex`, `key_base64`,
//! `value_hex`, `value_base64`. Other fields are passed over, and so are empty lines.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lines::Lines;
use super::{EntryReader, InputEntry, InputError, LineError};
use crate::commands::load::args::InputArgs;

pub(super) struct JsonLinesReader<R> {
    lines: Lines<R>,
    key: FieldNames,
    value: FieldNames,
}

impl<R: BufRead> JsonLinesReader<R> {
    pub(super) fn new(source: R, options: &InputArgs) -> Self {
        Self {
            lines: Lines::new(source),
            key: FieldNames::new(&options.key_field),
            value: FieldNames::new(&options.value_field),
        }
    }
}

impl<R: BufRead> EntryReader for JsonLinesReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        let Some((number, line)) = self.lines.next_filled()? else {
            return Ok(false);
        };
        entry.clear(number);
        let at_line = |cause| InputError::Line { line: number, cause };
        let mut json = serde_json::Deserializer::from_slice(line);
        let fields = json
            .deserialize_map(Fields { key: &self.key, value: &self.value })
            .and_then(|fields| json.end().map(|()| fields))
            .map_err(|error| at_line(LineError::Json(error)))?;
        fields.take(&self.key, &self.value, entry).map_err(at_line)?;
        Ok(true)
    }
}

/// The names under which a key or a value may come.
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

/// How a field's text stands for bytes.
#[derive(Clone, Copy)]
enum Encoding {
    Text,
    Hex,
    Base64,
}

/// The fields of an object that matter, as they were written.
#[derive(Default)]
struct Found<'a> {
    key: Vec<(Encoding, &'a RawValue)>,
    value: Vec<(Encoding, &'a RawValue)>,
}

struct Fields<'n> {
    key: &'n FieldNames,
    value: &'n FieldNames,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
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

impl Found<'_> {
    fn take(
        &self,
        key: &FieldNames,
        value: &FieldNames,
        entry: &mut InputEntry,
    ) -> Result<(), LineError> {
        if !take(&self.key, key, &mut entry.key)? {
            return Err(LineError::NullKey);
        }
        entry.is_deletion = !take(&self.value, value, &mut entry.value)?;
        Ok(())
    }
}

/// Appends the bytes that a field stands for to `out`; `false` if it is null.
fn take(
    found: &[(Encoding, &RawValue)],
    names: &FieldNames,
    out: &mut Vec<u8>,
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
            out.extend_from_slice(text.as_bytes());
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
    out.extend_from_slice(&bytes);
    Ok(true)
}

/// Either alphabet, with or without padding.
fn decode_base64(text: &str) -> Result<Vec<u8>, data_encoding::DecodeError> {
    let digits = text.trim_end_matches('=').as_bytes();
    match digits.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => BASE64URL_NOPAD.decode(digits),
        false => BASE64_NOPAD.decode(digits),
    }
}
