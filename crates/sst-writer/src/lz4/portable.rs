//! The encoder for machines on which lz4_flex would give other bytes than on 64-bit little-endian ones.
//!
//! A block is a list of sequences: some literal bytes, then a match, which repeats bytes up to 65,535 back; the last
//! sequence has literals only. Which matches are taken is up to an encoder. Here they are those of lz4_flex with its table
//! of 4,096 places: greedy, looked up by a hash of five bytes, with steps that grow while nothing is found.

/// Bits of a hash, and so of an index into the table.
const HASH_BITS: u32 = 12;
/// Spreads five bytes over the upper bits of a word; the one that LZ4 encoders use.
const HASH_FACTOR: u64 = 889_523_592_379;
/// Length of the shortest match in bytes.
const MIN_MATCH: usize = 4;
/// No match starts within so many bytes of the end.
const MATCH_FREE_END: usize = 12;
/// The last bytes are literals: 5 by the format, and one more, as lz4_flex has it.
const LITERAL_END: usize = 6;
/// How far back a match can be.
const MAX_DISTANCE: usize = 0xffff;
/// After so many positions without a match, as a power of two, the step grows by one.
const STEP_SHIFT: u32 = 5;
/// A length of so much or more is continued behind the token.
const TOKEN_MAX: usize = 15;

/// Compresses one payload after the other.
pub(super) struct Encoder {
    /// Where bytes with a hash were seen last; 0, which is never far wrong, if nowhere.
    places: Box<[u32]>,
}

/// Bytes that were there before.
struct Match {
    /// Where they are now.
    start: usize,
    /// Where they were.
    source: usize,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { places: vec![0; 1 << HASH_BITS].into() }
    }

    /// Compresses `input` into the start of `out`, and returns how many bytes it took; `None` if there is too little room,
    /// or if the input has 4 GiB or more.
    pub(super) fn compress(&mut self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        self.places.fill(0);
        let mut out = Output { room: out, len: 0 };
        // Up to here the input is written.
        let mut written = 0;
        if let Some(last_start @ 1..) = input.len().checked_sub(MATCH_FREE_END) {
            self.seen_before(input, 0)?;
            let mut from = 1;
            while let Some(found) = self.find(input, from, last_start)? {
                let back = common(
                    input.get(written..found.start)?.iter().rev(),
                    input.get(..found.source)?.iter().rev(),
                );
                let (start, source) = (found.start - back, found.source - back);
                let matchable = input.get(start..input.len() - LITERAL_END)?;
                let len = common(matchable.iter(), input.get(source..)?.iter());
                out.sequence(input.get(written..start)?, start - source, len)?;
                written = start + len;
                self.seen_before(input, written - 2)?;
                from = written;
            }
        }
        out.last_literals(input.get(written..)?)?;
        Some(out.len)
    }

    /// Where the five bytes at `at`, or others with their hash, were seen last; from now on that is `at`.
    fn seen_before(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let [a, b, c, d, e] = *input.get(at..)?.first_chunk()?;
        let word = u64::from_be_bytes([e, d, c, b, a, 0, 0, 0]);
        let hash = word.wrapping_mul(HASH_FACTOR) >> (u64::BITS - HASH_BITS);
        let place = self.places.get_mut(usize::try_from(hash).ok()?)?;
        let before = std::mem::replace(place, u32::try_from(at).ok()?);
        usize::try_from(before).ok()
    }

    /// The next match that starts at `from` or later, up to `last_start`. `None` inside if there is none.
    fn find(&mut self, input: &[u8], from: usize, last_start: usize) -> Option<Option<Match>> {
        let mut start = from;
        let mut misses = 1 << STEP_SHIFT;
        while start <= last_start {
            let source = self.seen_before(input, start)?;
            let four = |at: usize| input.get(at..at + MIN_MATCH);
            if start - source <= MAX_DISTANCE && four(start)? == four(source)? {
                return Some(Some(Match { start, source }));
            }
            start += misses >> STEP_SHIFT;
            misses += 1;
        }
        Some(None)
    }
}

/// How many bytes are the same, from the start on.
fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// What has been written.
struct Output<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Output<'_> {
    /// Literals, then a match.
    fn sequence(&mut self, literals: &[u8], distance: usize, match_len: usize) -> Option<()> {
        let more = match_len.checked_sub(MIN_MATCH)?;
        self.token(literals.len(), more)?;
        self.literals(literals)?;
        let [high, low] = u16::try_from(distance).ok()?.to_be_bytes();
        self.push(&[low, high])?;
        self.rest_of(more)
    }

    /// The last sequence: literals only.
    fn last_literals(&mut self, literals: &[u8]) -> Option<()> {
        self.token(literals.len(), 0)?;
        self.literals(literals)
    }

    fn token(&mut self, literals: usize, more: usize) -> Option<()> {
        let half = |len: usize| u8::try_from(len.min(TOKEN_MAX)).ok();
        self.push(&[half(literals)? << 4 | half(more)?])
    }

    fn literals(&mut self, literals: &[u8]) -> Option<()> {
        self.rest_of(literals.len())?;
        self.push(literals)
    }

    /// What a token could not say of a length: bytes of 255, and one below.
    fn rest_of(&mut self, len: usize) -> Option<()> {
        let Some(mut rest) = len.checked_sub(TOKEN_MAX) else { return Some(()) };
        while rest >= 0xff {
            self.push(&[0xff])?;
            rest -= 0xff;
        }
        self.push(&[u8::try_from(rest).ok()?])
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.room.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::max_compressed_len;
    use super::*;

    fn compressed(input: &[u8]) -> Vec<u8> {
        let mut out = vec![0; max_compressed_len(input.len())];
        let mut encoder = Encoder::new();
        // What was compressed before makes no difference.
        encoder.compress(&input.repeat(2)[..input.len()], &mut out.clone()).unwrap();
        let len = encoder.compress(input, &mut out).unwrap();
        out.truncate(len);
        out
    }

    /// The same bytes as lz4_flex where it defines them, and bytes that give the input back everywhere.
    fn check(input: &[u8]) {
        let compressed = compressed(input);
        assert_eq!(lz4_flex::block::decompress(&compressed, input.len()).unwrap(), input);
        if cfg!(all(target_pointer_width = "64", target_endian = "little")) {
            use lz4_flex::block::{CompressTable, compress_into_with_table};
            let mut out = vec![0; max_compressed_len(input.len())];
            let mut table = CompressTable::large();
            let len = compress_into_with_table(input, &mut out, &mut table).unwrap();
            assert_eq!(compressed, out[..len], "{} bytes", input.len());
        }
    }

    /// `len` bytes of words out of `words`, in an order that looks random.
    fn text(len: usize, words: u64, seed: u64) -> Vec<u8> {
        let mut text = Vec::new();
        let mut state = seed;
        while text.len() < len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let word = (state >> 33) % words;
            text.extend_from_slice(&word.to_string().as_bytes().repeat(1 + (word % 3) as usize));
            text.push(b' ');
        }
        text.truncate(len);
        text
    }

    #[test]
    fn every_short_length() {
        let step = if cfg!(miri) { 97 } else { 1 };
        for len in (0..700).step_by(step) {
            check(&vec![b'x'; len]);
            check(&text(len, 9, len as u64));
            check(&text(len, 1 << 31, len as u64));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much for an interpreter")]
    fn matches_as_far_back_as_they_can_be_and_farther() {
        for words in [40, 3_000, 1 << 31] {
            for len in [8_192, 65_535, 65_536, 200_000] {
                check(&text(len, words, 1));
            }
        }
        let far = text(50, 1 << 31, 2);
        for distance in 65_530..65_545 {
            let between = vec![b'-'; distance - far.len()];
            check(&[&far, &between[..], &far, b"and some more"].concat());
        }
    }

    #[test]
    fn the_same_bytes_on_every_machine() {
        let compressed = compressed(&text(3_000, 40, 1));
        assert_eq!((compressed.len(), crc32fast::hash(&compressed)), (1_689, 3_791_303_922));
    }

    #[test]
    fn too_little_room_is_noticed() {
        let input = text(300, 9, 3);
        let len = compressed(&input).len();
        let mut encoder = Encoder::new();
        assert_eq!(encoder.compress(&input, &mut vec![0; len]), Some(len));
        for room in (0..len).rev().step_by(if cfg!(miri) { 61 } else { 1 }) {
            assert_eq!(encoder.compress(&input, &mut vec![0; room]), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(input in prop::collection::vec(prop_oneof![0_u8..3, any::<u8>()], 0..3000)) {
            check(&input);
        }
    }
}
