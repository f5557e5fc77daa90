//! Splits the bytes of an input into numbers and strings for a target.

use byteorder::{BigEndian, ByteOrder};

/// The rest of an input. After its end, all numbers are 0 and all strings are empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All bytes that were not taken yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Takes the next `len` bytes, or the rest if there are fewer.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        {
            let [byte] = self.array();
            byte
        }
    }

    pub(crate) fn u16(&mut self) -> u16 {
        BigEndian::read_u16(&self.array::<2>())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        BigEndian::read_u32(&self.array::<4>())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        BigEndian::read_u64(&self.array::<8>())
    }

    /// Takes a number below `bound`, which must be from 1 to 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound
    }
}
