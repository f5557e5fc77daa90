//! Many byte strings in one buffer.

/// Byte strings stored back to back: all of one length, or each with its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Fixed { len: usize, count: usize },
    Ends(Vec<usize>),
}

impl Strings {
    /// Divides `bytes` into strings of `len` bytes. A shorter rest at the end is ignored.
    #[must_use]
    pub fn fixed(bytes: Vec<u8>, len: usize) -> Self {
        // A `len` of 0 gives no strings.
        let count = bytes.len().checked_div(len).unwrap_or(0);
        Self { bytes, shape: Shape::Fixed { len, count } }
    }

    /// Copies strings of any length into one buffer.
    #[must_use]
    pub fn collect<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for string in strings {
            bytes.extend_from_slice(string);
            ends.push(bytes.len());
        }
        Self { bytes, shape: Shape::Ends(ends) }
    }

    /// Returns string `i`. The index must be in range: otherwise this panics, so that a bench stops
    /// rather than measures something else.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a wrong index must not look like an empty string")]
    pub fn get(&self, i: usize) -> &[u8] {
        let range = match &self.shape {
            Shape::Fixed { len, .. } => i * len..(i + 1) * len,
            Shape::Ends(ends) => {
                let start = i.checked_sub(1).map_or(0, |before| ends[before]);
                start..ends[i]
            }
        };
        &self.bytes[range]
    }

    /// Returns all strings in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.bytes, shape: &self.shape, i: 0, at: 0 }
    }

    /// Returns the number of strings.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.shape {
            Shape::Fixed { count, .. } => *count,
            Shape::Ends(ends) => ends.len(),
        }
    }

    /// Returns the bytes of all strings, back to back.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of bytes of all strings.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}

/// An iterator over the strings in order.
///
/// A loop over lookups runs this code between one lookup and the next. Its branches always go the
/// same way, and it computes no value from a condition. Such a value would be written to one byte
/// of a register, and the other bytes of this register may still depend on the result of the
/// lookup.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    shape: &'a Shape,
    /// Number of the next string and start of it, if strings have ends.
    i: usize,
    at: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let len = match self.shape {
            Shape::Fixed { len: 0, .. } => return None,
            Shape::Fixed { len, .. } => *len,
            Shape::Ends(ends) => {
                let len = ends.get(self.i)?.checked_sub(self.at)?;
                self.i += 1;
                self.at += len;
                len
            }
        };
        let (string, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_give_the_same_strings() {
        let fixed = Strings::fixed(b"abcdef".to_vec(), 2);
        let collected = Strings::collect([&b"ab"[..], b"cd", b"ef"].into_iter());
        assert!(fixed.iter().eq(collected.iter()));
        assert_eq!((fixed.count(), fixed.get(1), collected.get(1)), (3, &b"cd"[..], &b"cd"[..]));
    }

    #[test]
    fn strings_of_any_length() {
        let strings = Strings::collect([&b"a"[..], b"", b"bcd"].into_iter());
        assert_eq!(strings.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"bcd"]);
        assert_eq!((strings.get(2), strings.byte_len()), (&b"bcd"[..], 4));
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn a_string_that_is_not_there_is_not_an_empty_one() {
        _ = Strings::collect([&b"a"[..]].into_iter()).get(1);
    }
}
