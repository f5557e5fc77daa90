//! Bytes on their way out.

/// Up to this length it grows in powers of two, beyond by no more than is needed: one large value must not cost more than it
/// has to.
const DOUBLED_LEN: usize = 2 << 20;

/// A buffer that is filled, taken from the front and filled again.
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
            let len = if needed > DOUBLED_LEN { needed } else { needed.next_power_of_two() };
            self.bytes.reserve_exact(len - self.bytes.len());
            self.bytes.resize(len, 0);
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

    /// Gives up the first `len` bytes. Memory above `keep` bytes that holds nothing is given back.
    pub(crate) fn remove_front(&mut self, len: usize, keep: usize) {
        let len = len.min(self.len);
        self.bytes.copy_within(len..self.len, 0);
        self.len -= len;
        let keep = keep.max(self.len);
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
        staging.remove_front(2, 4);
        assert_eq!((staging.as_slice(), staging.bytes.capacity()), (&b"cdg"[..], 4));
        staging.remove_front(3, 2);
        assert_eq!((staging.as_slice(), staging.bytes.capacity()), (&b""[..], 2));
        assert!(staging.room(3).len() >= 3);
    }
}
