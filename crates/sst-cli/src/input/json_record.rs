//! One JSON value as a record with fields, and the fields that options name.
//!
//! A name is that of a field of the record. If there is no such field, it is a path: `user.id` is
//! the field `id` of the field `user`, `tags.0` the first element of `tags`. Bytes that are not
//! UTF-8 come in fields whose names end in `_hex` or `_base64`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::LineError;
use super::columns::shown_name;
use super::json_text::JsonText;
use crate::notation::Notation;

/// Highest number of fields that an error lists.
const MAX_LISTED: usize = 20;
/// How many fields of one name are kept: enough to see that there are several.
const MAX_KEPT: usize = 2;

/// A record: an object or an array. Of its fields only those are kept that options name, so it
/// takes little memory however many there are.
pub(super) struct Record<'de> {
    text: &'de str,
    /// The names and the texts of fields, or the numbers and the texts of elements.
    kept: Vec<(Cow<'de, str>, &'de RawValue)>,
}

/// A field that was found.
#[derive(Clone, Copy)]
pub(super) struct Found<'de> {
    /// The notation of its text: `Raw` for the characters themselves.
    pub(super) notation: Notation,
    pub(super) json: &'de RawValue,
}

impl<'de> Record<'de> {
    /// Parses a record. `is_wanted` tells which of its fields are kept.
    pub(super) fn parse(
        text: &'de str,
        mut is_wanted: impl FnMut(&str) -> bool,
    ) -> Result<Self, serde_json::Error> {
        let mut kept: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        for_each_field(text, |name, json| {
            // An option names text.
            let FieldName::Text(name) = name else { return };
            let same = || kept.iter().filter(|(known, _)| *known == name).count();
            if is_wanted(&name) && same() < MAX_KEPT {
                kept.push((name, json));
            }
        })?;
        Ok(Self { text, kept })
    }

    /// The one field or element of this name. A number names an element.
    fn child(&self, name: &str) -> Result<Option<&'de RawValue>, LineError> {
        let mut named = self.kept.iter().filter(|field| field.0 == name);
        let found = named.next().map(|field| field.1);
        match named.next() {
            None => Ok(found),
            Some(_) => Err(LineError::FieldTwice(name.to_owned())),
        }
    }

    /// The field or element at this path; `None` if there is none.
    pub(super) fn at(&self, path: &str) -> Result<Option<&'de RawValue>, LineError> {
        if let Some(found) = self.child(path)? {
            return Ok(Some(found));
        }
        let Some((first, rest)) = path.split_once('.') else { return Ok(None) };
        match self.child(first)?.map(RawValue::get) {
            Some(json) if json.starts_with(['{', '[']) => {
                let inner = Record::parse(json, |name| is_on_path(name, rest));
                inner.map_err(LineError::Json)?.at(rest)
            }
            // A value without parts has none at a path.
            _ => Ok(None),
        }
    }

    /// The field of these names. It must be there, once.
    pub(super) fn find(&self, names: &FieldNames) -> Result<Found<'de>, LineError> {
        let mut found = None;
        for (name, notation) in names.all() {
            if let Some(json) = self.at(name)? {
                if found.is_some() {
                    return Err(LineError::FieldTwice(names.plain.clone()));
                }
                found = Some(Found { notation, json });
            }
        }
        match found {
            Some(found) => Ok(found),
            None => Err(LineError::NoField {
                field: names.plain.clone(),
                fields: list_of_fields(self.text).map_err(LineError::Json)?,
            }),
        }
    }
}

/// Whether a name is a path, or the start of it up to a point.
pub(super) fn is_on_path(name: &str, path: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Calls `consume` for each field of an object with its name, or each element of an array with its
/// number. Fails if the text is neither, or not JSON.
pub(super) fn for_each_field<'de>(
    text: &'de str,
    consume: impl FnMut(FieldName<'de>, &'de RawValue),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_any(Fields(consume))?;
    json.end()
}

/// The first names of the fields, for an error.
fn list_of_fields(text: &str) -> Result<String, serde_json::Error> {
    let (mut names, mut count) = (Vec::new(), 0_usize);
    for_each_field(text, |name, _| {
        count += 1;
        if names.len() < MAX_LISTED {
            names.push(shown_name(name.shown().as_bytes()));
        }
    })?;
    let listed = names.join(", ");
    Ok(match (text.trim_start().starts_with('['), count) {
        (true, count) => format!("it is an array of {count}"),
        (false, 0) => "it has none".to_owned(),
        (false, count) if count > MAX_LISTED => {
            format!("it has {listed} and {} more", count - MAX_LISTED)
        }
        (false, _) => format!("it has {listed}"),
    })
}

/// The names that a field may have, for text, hex and base64.
pub(super) struct FieldNames {
    pub(super) plain: String,
    hex: String,
    base64: String,
}

impl FieldNames {
    pub(super) fn new(name: &str) -> Self {
        Self {
            plain: name.to_owned(),
            hex: format!("{name}_hex"),
            base64: format!("{name}_base64"),
        }
    }

    /// All names, with the notation of their fields.
    pub(super) fn all(&self) -> [(&str, Notation); 3] {
        [(&self.plain, Notation::Raw), (&self.hex, Notation::Hex), (&self.base64, Notation::Base64)]
    }

    /// Whether this is one of the names.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.all().iter().any(|(own, _)| *own == name)
    }

    /// Whether a field of this name is needed to find one of the names.
    pub(super) fn needs(&self, name: &str) -> bool {
        self.all().iter().any(|(own, _)| is_on_path(name, own))
    }
}

/// The name of a field.
pub(super) enum FieldName<'de> {
    /// Its characters.
    Text(Cow<'de, str>),
    /// As it is written, since a surrogate lacks its other half: it stands for no characters.
    NoText(&'de str),
}

impl FieldName<'_> {
    fn shown(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::NoText(json) => json,
        }
    }
}

struct Fields<F>(F);

impl<'de, F: FnMut(FieldName<'de>, &'de RawValue)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            (self.0)(name, map.next_value()?);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0_u64;
        while let Some(element) = seq.next_element()? {
            (self.0)(FieldName::Text(Cow::Owned(number.to_string())), element);
            number += 1;
        }
        Ok(())
    }
}

/// Reads the name of a field, borrowed unless it has escapes. The parser itself would take memory
/// for escapes that the system may not refuse.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = FieldName<'de>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        let name = <&RawValue>::deserialize(name)?.get();
        match JsonText::new(name).decoded() {
            Ok(text) => Ok(FieldName::Text(text)),
            // The parser has checked the escapes, but for halves of surrogates.
            Err(LineError::JsonEscape) => Ok(FieldName::NoText(name)),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'t>(text: &'t str, path: &str) -> Option<&'t str> {
        let record = Record::parse(text, |name| is_on_path(name, path)).unwrap();
        record.at(path).unwrap().map(RawValue::get)
    }

    #[test]
    fn a_name_comes_before_a_path() {
        let text = r#"{"user":{"id":7,"tags":["x",{"y":null}]},"user.name":1,"a\u002eb":2}"#;
        for (path, expected) in [
            ("user.id", Some("7")),
            ("user.tags.0", Some(r#""x""#)),
            ("user.tags.1.y", Some("null")),
            ("user.name", Some("1")),
            ("a.b", Some("2")),
            ("user.tags.2", None),
            ("user.tags.first", None),
            ("user.id.more", None),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(at(text, path), expected, "{path}");
        }
        assert_eq!(at(r#"["a", 1]"#, "1"), Some("1"));
    }

    #[test]
    fn a_field_is_there_once_in_any_notation() {
        let find = |text: &str| {
            let names = FieldNames::new("k.x");
            let found = Record::parse(text, |name| names.needs(name)).unwrap().find(&names)?;
            Ok::<_, LineError>((found.notation, found.json.get().to_owned()))
        };
        assert_eq!(find(r#"{"k":{"x_hex":"00"}}"#).unwrap(), (Notation::Hex, r#""00""#.to_owned()));
        assert!(matches!(find(r#"{"k":{"x_hex":"00","x":1}}"#), Err(LineError::FieldTwice(_))));
        assert!(matches!(find(r#"{"k":{"x":1,"x":1}}"#), Err(LineError::FieldTwice(_))));
        let missing = find(r#"{"k":{"y":1},"other":2}"#);
        assert!(
            matches!(missing, Err(LineError::NoField { ref fields, .. }) if fields == "it has k, other")
        );
        for text in ["1", "\"k\"", "{", "{}x"] {
            assert!(Record::parse(text, |_| true).is_err(), "{text}");
        }
    }
}
