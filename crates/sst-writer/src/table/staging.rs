//! Bytes on their way out.

/// A buffer that is filled, taken and filled again.
///
/// Bytes behind its end are leftovers of an earlier use, so handing out room for a result of unknown length needs no
/// clearing.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    bytes: Vec<u8>,
    len: usize,
}

impl Staging {
    /// What it holds.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Length of what it holds, in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// At least `len` bytes behind the end, of any content. [`Staging::advance`] makes them part of it.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let needed = self.len + len;
        if needed > self.bytes.len() {
            // Not twice as much, as `resize` would take: one large value must not cost more than it has to.
            self.bytes.reserve_exact(needed - self.bytes.len());
            self.bytes.resize(needed, 0);
        }
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Takes the next `len` bytes of the room.
    pub(crate) fn advance(&mut self, len: usize) {
        self.len = (self.len + len).min(self.bytes.len());
    }

    /// Appends bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if let Some(room) = self.room(bytes.len()).get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }

    /// Gives up what lies behind the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Empties it. Memory above `keep` bytes is given back.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.len = 0;
        if self.bytes.len() > keep {
            self.bytes.truncate(keep);
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut staging = Staging::default();
        staging.extend(b"abc");
        staging.room(10)[..2].copy_from_slice(b"de");
        staging.advance(2);
        staging.extend(b"f");
        assert_eq!(staging.as_slice(), b"abcdef");
        staging.truncate(4);
        staging.extend(b"g");
        assert_eq!((staging.as_slice(), staging.len()), (&b"abcdg"[..], 5));
        staging.clear(2);
        assert_eq!((staging.as_slice(), staging.bytes.capacity()), (&b""[..], 2));
        assert!(staging.room(3).len() >= 3);
    }
}
