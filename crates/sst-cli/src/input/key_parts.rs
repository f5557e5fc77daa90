//! A key that is made of several columns or fields.

use sst_format::limits::MAX_KEY_LEN;

use super::LineError;
use super::bounded::Bounded;
use crate::escape::Escaped;

/// Writes the parts of a key, with a separator between them. A part that contains the separator is
/// an error: with `/`, the parts `a/b` and `c` would be the same key as `a` and `b/c`.
pub(super) struct KeyParts<'a> {
    key: &'a mut Bounded,
    separator: &'a [u8],
    /// Number of parts that the key has.
    count: usize,
    /// Number of parts written.
    written: usize,
}

impl<'a> KeyParts<'a> {
    pub(super) const fn new(key: &'a mut Bounded, separator: &'a [u8], count: usize) -> Self {
        Self { key, separator, count, written: 0 }
    }

    /// Writes the next part.
    pub(super) fn add(&mut self, part: &[u8]) -> Result<(), LineError> {
        let is_last = self.written + 1 == self.count;
        if self.count > 1 && contains(part, self.separator, is_last) {
            let separator = Escaped(self.separator).to_string();
            return Err(LineError::SeparatorInKey { separator });
        }
        if self.written > 0 {
            self.key.append(self.separator, MAX_KEY_LEN).map_err(LineError::of_key)?;
        }
        self.written += 1;
        self.key.append(part, MAX_KEY_LEN).map_err(LineError::of_key)
    }
}

/// Whether the separator starts within the part, also where it would end in the separator that
/// follows: `a:` before `::` reads as `a`, `::` and `:`.
fn contains(part: &[u8], separator: &[u8], is_last: bool) -> bool {
    let has = |bytes: &[u8]| bytes.windows(separator.len()).any(|window| window == separator);
    // A separator has at least one byte, see `input_args::separator`.
    let shared_len = separator.len() - 1;
    let end = part.get(part.len().saturating_sub(shared_len)..).unwrap_or(part);
    let followed = if is_last { &[] } else { separator.get(..shared_len).unwrap_or(&[]) };
    has(part) || has(&[end, followed].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&[u8]], separator: &[u8]) -> Result<Vec<u8>, LineError> {
        let mut key = Bounded::new();
        let mut key_parts = KeyParts::new(&mut key, separator, parts.len());
        for part in parts {
            key_parts.add(part)?;
        }
        Ok(key.to_vec())
    }

    #[test]
    fn different_parts_never_make_the_same_key() {
        assert_eq!(key(&[b"a", b"b"], b"/").unwrap(), b"a/b");
        assert_eq!(key(&[b"", b"", b""], b"::").unwrap(), b"::::");
        assert_eq!(key(&[b"a/b"], b"/").unwrap(), b"a/b");
        for parts in [[&b"a/b"[..], b"c"], [b"a", b"b/c"]] {
            assert!(matches!(key(&parts, b"/"), Err(LineError::SeparatorInKey { .. })));
        }
        // Half a separator at the end of a part could be mistaken too, at its start it could not.
        assert!(key(&[b"a:", b"b"], b"::").is_err());
        assert_eq!(key(&[b"a", b":b"], b"::").unwrap(), b"a:::b");
    }
}
