//! The random bytes of the vectors, defined in conformance/vectors/reference/README.md.

/// splitmix64: a stream of 64-bit words from a seed.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// A stream with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next word.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    #[expect(clippy::cast_possible_truncation, reason = "it is below a number of the same type")]
    pub const fn below(&mut self, bound: usize) -> usize {
        match bound {
            0 => {
                self.word();
                0
            }
            bound => (self.word() % bound as u64) as usize,
        }
    }

    /// Chooses one of several values.
    #[expect(clippy::indexing_slicing, reason = "the index is below the length, which is not 0")]
    pub fn pick<T: Copy, const N: usize>(&mut self, things: &[T; N]) -> T {
        const { assert!(N > 0) };
        things[self.below(N)]
    }

    /// The next `len` bytes. Of the last word only the leading bytes are used.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.word().to_be_bytes());
        let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
        bytes.truncate(len);
        bytes
    }

    /// `len / 2` random bytes, then the next word repeated: a value that LZ4 compresses to about
    /// half.
    pub fn half_random(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = self.bytes(len / 2);
        let word = self.word().to_be_bytes();
        bytes.extend(word.iter().cycle().take(len - len / 2));
        bytes
    }
}
