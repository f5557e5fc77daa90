//! Memory maps: the one file of this crate with `unsafe` code.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A whole file, mapped read-only.
///
/// What mapping asks of its user is passed on in the docs of [`Access::Map`](crate::Access::Map): nobody may shorten
/// or overwrite the file while it is open. Files of this format are immutable once they have their name.
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps `file`.
    #[expect(unsafe_code, reason = "mapping a file has no safe form; see the comment on the block")]
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and only ever seen as `&[u8]`. Its bytes change, or vanish, only if somebody
        // writes to or truncates the file meanwhile. The format forbids that (files are immutable and replaced under
        // new names), the docs of `Access::Map` say so, and `Access::Read` is there for files where nobody can promise
        // it. Every byte is checked as untrusted input after it was loaded.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self(map))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}
