//! JSON: one record per line, or records one after the other and in arrays.
//!
//! A string stands for its characters in UTF-8. Any other value stands for its JSON text as
//! written, except that `null` as the value deletes the key, unless `--nulls value` is given. The
//! value may also be the whole record, or an object of several of its fields. Other fields and
//! empty lines are ignored.
//!
//! A line is accepted if Python's `json` accepts it, with three exceptions, which have no
//! unambiguous meaning as bytes: `NaN` and `Infinity`, which are not JSON; a lone surrogate in a
//! key or value, which is not UTF-8; a key or value that occurs twice. Arrays and objects may be
//! 10,000 deep, which is more than Python's stack allows.

use std::io::BufRead;

use serde_json::value::RawValue;

use super::bounded::Bounded;
use super::input_args::{Format, InputArgs};
use super::json_object::JsonObject;
use super::json_record::{FieldName, FieldNames, Found, Record, for_each_field, is_on_path};
use super::json_text::{JsonText, check_depth, decode_digits};
use super::json_values::JsonValues;
use super::key_parts::KeyParts;
use super::lines::Lines;
use super::record_text::{Destination, LongStrings, RecordText};
use super::{EntryReader, InputEntry, InputError, InputValue, LineError, Step};
use crate::end_mark::EndMark;
use crate::notation::Notation;

/// The records of an input.
enum Records<R> {
    /// One in each line.
    Lines(Lines<R>),
    /// One after the other, on any number of lines each.
    Values(JsonValues<R>),
}

impl<R: BufRead> Records<R> {
    /// Passes the next record to `consume`, part by part. Returns the number of the line in which
    /// it starts; `None` at the end of the input.
    fn next(&mut self, consume: impl FnMut(&[u8])) -> Result<Option<u64>, InputError> {
        match self {
            Self::Lines(lines) => Ok(lines.next_filled(consume)?),
            Self::Values(values) => values.next_value(consume),
        }
    }
}

/// The part of a record that is the value.
enum Value {
    Field(FieldNames),
    /// The whole record.
    Whole {
        /// Without the fields of the key.
        without_key: bool,
    },
    /// An object of these fields.
    Fields(Vec<String>),
}

pub(super) struct JsonReader<R> {
    records: Records<R>,
    keys: Vec<FieldNames>,
    key_separator: Vec<u8>,
    value: Value,
    nulls_delete: bool,
    max_value: usize,
    text: RecordText,
    buffers: Buffers,
}

/// Buffers that are reused from record to record.
#[derive(Default)]
struct Buffers {
    /// The text of a field in hex or base64 that is written with escapes.
    text: Bounded,
    /// A part of the key.
    part: Bounded,
}

impl<R: BufRead> JsonReader<R> {
    pub(super) fn new(source: R, format: Format, options: &InputArgs) -> Self {
        let records = match format {
            Format::Json => Records::Values(JsonValues::new(source)),
            _ => Records::Lines(Lines::new(source)),
        };
        let value = match (options.value_fields.as_slice(), options.value_field()) {
            ([], ".") => Value::Whole { without_key: options.without_key },
            ([], name) => Value::Field(FieldNames::new(name)),
            (names, _) => Value::Fields(names.to_owned()),
        };
        Self {
            records,
            keys: options.key_fields().into_iter().map(FieldNames::new).collect(),
            key_separator: options.key_separator().to_owned(),
            value,
            nulls_delete: options.nulls_delete(),
            max_value: options.max_value,
            text: RecordText::default(),
            buffers: Buffers::default(),
        }
    }
}

impl<R: BufRead> EntryReader for JsonReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError> {
        entry.clear(0);
        let chosen = Chosen {
            keys: &self.keys,
            key_separator: &self.key_separator,
            value: &self.value,
            nulls_delete: self.nulls_delete,
            max_value: self.max_value,
        };
        let text = &mut self.text;
        text.clear(self.max_value);
        let mut long = LongFields { chosen: &chosen, value: &mut entry.value };
        let Some(number) = self.records.next(|part| text.append(part, &mut long))? else {
            return Ok(Step::End);
        };
        entry.line = number;
        let at_line = |cause| InputError::at_line(number, cause);
        let (line, value_at) = text.finish().map_err(at_line)?;
        if let Some(mark) = EndMark::parse_json(line) {
            return Ok(Step::Mark(mark));
        }
        // serde does not check ignored fields for UTF-8, so check the whole line first.
        let line = str::from_utf8(line)
            .map_err(|error| at_line(LineError::NotUtf8 { at: error.valid_up_to() + 1 }))?;
        check_depth(line).map_err(at_line)?;
        let record = Record::parse(line, |name| chosen.needs(name));
        let record = record.map_err(|error| at_line(LineError::Json(error)))?;
        let source = Source { record: &record, text: line, value_at };
        chosen.write(&source, &mut self.buffers, entry).map_err(at_line)?;
        Ok(Step::Entry)
    }
}

/// A record, and the text that it was parsed from.
struct Source<'r> {
    record: &'r Record<'r>,
    text: &'r str,
    /// Where the text has an empty string in place of a value that has left it.
    value_at: Option<usize>,
}

impl Source<'_> {
    /// Whether a field, which is a part of the text, is the value that has left the text.
    fn has_left(&self, json: &RawValue) -> bool {
        let at = json.get().as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        at.is_some() && at == self.value_at
    }
}

/// Takes the long strings of a record.
struct LongFields<'r, 'o> {
    chosen: &'r Chosen<'o>,
    value: &'r mut InputValue,
}

impl LongStrings for LongFields<'_, '_> {
    fn destination(&self, name: &str) -> Destination {
        let Chosen { keys, value, .. } = self.chosen;
        // An object of fields is made of the text of the record.
        let Value::Field(names) = value else { return Destination::Text };
        match names.plain == name {
            _ if keys.iter().any(|key| key.needs(name)) => Destination::Text,
            true => Destination::Value,
            // In hex, in base64, or an object that holds the value.
            false if names.needs(name) => Destination::Text,
            false => Destination::Nothing,
        }
    }

    fn append_value(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        self.value.append(bytes, self.chosen.max_value)
    }
}

/// The parts of a record that are key and value.
struct Chosen<'o> {
    keys: &'o [FieldNames],
    key_separator: &'o [u8],
    value: &'o Value,
    nulls_delete: bool,
    max_value: usize,
}

impl Chosen<'_> {
    /// Whether a field of this name is a part of key or value, or holds one.
    fn needs(&self, name: &str) -> bool {
        let of_value = match self.value {
            Value::Field(names) => names.needs(name),
            Value::Whole { .. } => false,
            Value::Fields(paths) => paths.iter().any(|path| is_on_path(name, path)),
        };
        of_value || self.keys.iter().any(|names| names.needs(name))
    }

    /// Writes key and value of a record.
    fn write(
        &self,
        source: &Source<'_>,
        buffers: &mut Buffers,
        entry: &mut InputEntry,
    ) -> Result<(), LineError> {
        let Buffers { text: digits, part } = buffers;
        let Source { record, text, .. } = *source;
        let mut parts = KeyParts::new(&mut entry.key, self.key_separator, self.keys.len());
        for names in self.keys {
            let found = record.find(names)?;
            if found.json.get() == "null" {
                return Err(LineError::NullKey);
            }
            part.clear();
            decode(found, names, digits, |bytes| append(part, bytes))?;
            parts.add(part)?;
        }
        match self.value {
            Value::Field(names) => {
                let found = record.find(names)?;
                if source.has_left(found.json) {
                    return Ok(());
                }
                // The value that has left the text was another field.
                entry.value.clear();
                if found.json.get() == "null" && self.nulls_delete {
                    entry.is_deletion = true;
                    return Ok(());
                }
                decode(found, names, digits, |bytes| self.append(entry, bytes))
            }
            Value::Whole { without_key: false } => self.append(entry, text.trim().as_bytes()),
            Value::Whole { without_key: true } => self.append_rest(entry, text),
            Value::Fields(names) => {
                let mut fields = Vec::new();
                for name in names {
                    let json = record.at(name)?;
                    // A record may leave out a field that others have.
                    fields.push((name.as_str(), json.map_or("null", RawValue::get)));
                }
                self.append_object(entry, fields.into_iter())
            }
        }
    }

    fn append(&self, entry: &mut InputEntry, bytes: &[u8]) -> Result<(), LineError> {
        entry.value.append(bytes, self.max_value)
    }

    /// Appends the record without the fields of the key.
    fn append_rest(&self, entry: &mut InputEntry, text: &str) -> Result<(), LineError> {
        if !text.trim_start().starts_with('{') {
            return self.append(entry, text.trim().as_bytes());
        }
        let mut object = JsonObject::new(entry.value.held_mut(), self.max_value);
        let mut appended = Ok(());
        let mut left_out = vec![false; self.keys.len()];
        for_each_field(text, |name, json| {
            if appended.is_err() {
                return;
            }
            let text = match name {
                FieldName::Text(text) => text,
                FieldName::NoText(name) => {
                    appended = object.field_as_written(name, json.get());
                    return;
                }
            };
            let mut is_of_key = false;
            for (key, left_out) in self.keys.iter().zip(&mut left_out) {
                let is_this = key.contains(&text);
                *left_out |= is_this;
                is_of_key |= is_this;
            }
            if !is_of_key {
                appended = object.field(&text, json.get());
            }
        })
        .map_err(LineError::Json)?;
        if left_out.contains(&false) {
            return Err(LineError::KeyAtPath);
        }
        let ended = appended.and_then(|()| object.end());
        ended.map_err(|refused| LineError::of_value(refused, self.max_value))
    }

    /// Appends an object of fields as they were written.
    fn append_object<'f>(
        &self,
        entry: &mut InputEntry,
        mut fields: impl Iterator<Item = (&'f str, &'f str)>,
    ) -> Result<(), LineError> {
        let mut object = JsonObject::new(entry.value.held_mut(), self.max_value);
        let appended = fields.try_for_each(|(name, json)| object.field(name, json));
        let ended = appended.and_then(|()| object.end());
        ended.map_err(|refused| LineError::of_value(refused, self.max_value))
    }
}

/// Passes the bytes that a field stands for to `put`, part by part. `text` is a buffer for digits
/// that are written with escapes.
fn decode(
    found: Found<'_>,
    names: &FieldNames,
    text: &mut Bounded,
    mut put: impl FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<(), LineError> {
    let Found { notation, json } = found;
    let json = JsonText::new(json.get());
    if notation == Notation::Raw {
        return json.unescape(put);
    }
    let digits = match json.as_written() {
        Some(digits) => digits,
        None => {
            text.clear();
            json.unescape(|part| append(text, part))?;
            text.as_slice()
        }
    };
    decode_digits(notation, digits, &mut put, |cause| {
        let name = names.all().into_iter().find(|(_, of_name)| *of_name == notation);
        // Every notation that a field can have has a name.
        let field = name.map_or(names.plain.as_str(), |(name, _)| name).to_owned();
        LineError::Encoding { field, cause }
    })
}

/// Appends to a buffer of any length: a part of a line, which has a limit.
fn append(buffer: &mut Bounded, part: &[u8]) -> Result<(), LineError> {
    let len = buffer.len() + part.len();
    buffer.append(part, usize::MAX).map_err(|_| LineError::NoMemory { len })
}
