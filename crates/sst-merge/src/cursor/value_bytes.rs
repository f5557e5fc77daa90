//! The bytes of a value, wherever they are.

use std::ops::Deref;

use sst_reader::Slice;

/// The bytes of a value: in a block that is in memory, or in a blob file.
#[derive(Debug)]
pub struct ValueBytes<'c>(Bytes<'c>);

#[derive(Debug)]
enum Bytes<'c> {
    Block(&'c [u8]),
    Blob(Slice<'static>),
}

impl<'c> ValueBytes<'c> {
    pub(crate) const fn in_block(bytes: &'c [u8]) -> Self {
        Self(Bytes::Block(bytes))
    }

    pub(crate) const fn of_blob(bytes: Slice<'static>) -> Self {
        Self(Bytes::Blob(bytes))
    }
}

impl Deref for ValueBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Block(bytes) => bytes,
            Bytes::Blob(bytes) => bytes,
        }
    }
}
