//! A byte buffer with a length limit and fallible allocation.

/// The bytes of one key, value or line. Appending fails beyond a limit, and when the system has no
/// memory, so that no input can abort the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounded(Vec<u8>);

/// The reason why bytes could not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// The limit is exceeded.
    TooLong,
    /// The system has no memory for a buffer of this many bytes.
    NoMemory(usize),
}

impl Bounded {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// Appends bytes if the buffer then has at most `max` bytes.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8], max: usize) -> Result<(), AppendError> {
        self.reserve(bytes.len(), max)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends the output of `write`, if the buffer then has at most `max` bytes. `write` appends
    /// `len` bytes and a few more.
    ///
    /// The length is checked after `write`, so `write` must produce a bounded number of bytes.
    #[cfg(feature = "parquet")]
    pub(crate) fn append_with<E: From<AppendError>>(
        &mut self,
        len: usize,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.reserve(len, max)?;
        write(&mut self.0)?;
        if self.0.len() > max { Err(AppendError::TooLong.into()) } else { Ok(()) }
    }

    /// Reserves memory for `len` more bytes, if the buffer then has at most `max` bytes.
    #[inline]
    fn reserve(&mut self, len: usize, max: usize) -> Result<(), AppendError> {
        // The buffer may already be longer than `max`, if an earlier call had a higher limit.
        if len > max.saturating_sub(self.0.len()) {
            return Err(AppendError::TooLong);
        }
        if len > self.0.capacity() - self.0.len() {
            self.grow(len, max)?;
        }
        Ok(())
    }

    /// Reserves memory for `needed` more bytes: doubles the capacity, up to the limit.
    #[cold]
    fn grow(&mut self, needed: usize, max: usize) -> Result<(), AppendError> {
        let len = self.0.len() + needed;
        let wanted = (self.0.capacity() * 2).clamp(len, max.max(len));
        let more = wanted - self.0.len();
        let reserved = self.0.try_reserve_exact(more);
        // If memory is short, `needed` bytes may still fit.
        let reserved = reserved.or_else(|_| self.0.try_reserve_exact(needed));
        reserved.map_err(|_| AppendError::NoMemory(len))
    }
}

impl std::ops::Deref for Bounded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_appended_beyond_the_limit() {
        let mut bytes = Bounded::new();
        assert_eq!(bytes.append(b"abc", 3), Ok(()));
        assert_eq!(bytes.append(b"d", 3), Err(AppendError::TooLong));
        assert_eq!(bytes.as_slice(), b"abc");
        assert_eq!(bytes.append(b"", 2), Ok(()));
        assert_eq!(bytes.append(b"d", 2), Err(AppendError::TooLong));
    }

    #[test]
    fn capacity_grows_to_the_limit_and_not_past_it() {
        let mut bytes = Bounded::new();
        for _ in 0..1000 {
            bytes.append(&[0; 100], 100_000).unwrap();
        }
        assert_eq!((bytes.0.len(), bytes.0.capacity()), (100_000, 100_000));
    }
}
