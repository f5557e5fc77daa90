//! Writes a value that is a JSON object, field by field.

use super::bounded::{AppendError, Bounded};

/// An object whose fields are written to a value with a limit on its length.
pub(super) struct JsonObject<'a> {
    out: &'a mut Bounded,
    max: usize,
    is_empty: bool,
}

impl<'a> JsonObject<'a> {
    pub(super) const fn new(out: &'a mut Bounded, max: usize) -> Self {
        Self { out, max, is_empty: true }
    }

    /// Writes the name of the next field. Its value must be appended to the buffer next.
    pub(super) fn name(&mut self, name: &str) -> Result<&mut Bounded, AppendError> {
        self.out.append(if self.is_empty { b"{" } else { b"," }, self.max)?;
        self.is_empty = false;
        append_string(name, self.out, self.max)?;
        self.out.append(b":", self.max)?;
        Ok(self.out)
    }

    /// Writes a field whose value is JSON already.
    pub(super) fn field(&mut self, name: &str, json: &str) -> Result<(), AppendError> {
        let max = self.max;
        self.name(name)?.append(json.as_bytes(), max)
    }

    /// Writes a field whose name is JSON already, too.
    pub(super) fn field_as_written(&mut self, name: &str, json: &str) -> Result<(), AppendError> {
        self.out.append(if self.is_empty { b"{" } else { b"," }, self.max)?;
        self.is_empty = false;
        [name, ":", json].iter().try_for_each(|part| self.out.append(part.as_bytes(), self.max))
    }

    /// Ends the object.
    pub(super) fn end(self) -> Result<(), AppendError> {
        self.out.append(if self.is_empty { b"{}" } else { b"}" }, self.max)
    }
}

/// Appends a JSON string.
pub(super) fn append_string(text: &str, out: &mut Bounded, max: usize) -> Result<(), AppendError> {
    out.append(b"\"", max)?;
    let mut plain = text;
    while let Some(at) = plain.find(|c: char| c < ' ' || matches!(c, '"' | '\\' | '\u{7f}')) {
        // `find` returns the start of a character, so the splits always succeed.
        let (before, rest) = plain.split_at_checked(at).unwrap_or((plain, ""));
        out.append(before.as_bytes(), max)?;
        let mut rest = rest.chars();
        match rest.next() {
            Some('"') => out.append(br#"\""#, max)?,
            Some('\\') => out.append(br"\\", max)?,
            Some('\n') => out.append(br"\n", max)?,
            Some('\r') => out.append(br"\r", max)?,
            Some('\t') => out.append(br"\t", max)?,
            Some(c) => out.append(format!("\\u{:04x}", u32::from(c)).as_bytes(), max)?,
            None => {}
        }
        plain = rest.as_str();
    }
    out.append(plain.as_bytes(), max)?;
    out.append(b"\"", max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_what_other_parsers_read() {
        let mut out = Bounded::new();
        JsonObject::new(&mut out, 100).end().unwrap();
        assert_eq!(&*out, b"{}");
        out.clear();
        let texts = ["", "plain", "a\"b\\c", "\n\r\t\u{1}\u{7f}", "Zürich 😀"];
        let mut object = JsonObject::new(&mut out, 1000);
        for text in texts {
            append_string(text, object.name(text).unwrap(), 1000).unwrap();
        }
        object.end().unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        for text in texts {
            assert_eq!(read[text], text);
        }
        out.clear();
        assert_eq!(append_string("abc", &mut out, 4), Err(AppendError::TooLong));
    }
}
