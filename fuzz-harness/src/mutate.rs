//! Random changes to inputs, the same ones for the same seed.

use sst_conformance::SplitMix;

/// Numbers that are likely to hurt.
const LIMITS: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// Makes new inputs of known ones.
#[derive(Clone, Debug)]
pub struct Mutator(SplitMix);

impl Mutator {
    /// The mutator that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix::new(seed))
    }

    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.0.word() % bound).unwrap_or(0)
    }

    /// An input of at most `max_len` bytes, made of one of `corpus`, or of nothing if that is empty.
    pub fn input(&mut self, corpus: &[Vec<u8>], max_len: usize) -> Vec<u8> {
        let chosen = self.below(corpus.len());
        let mut bytes = corpus.get(chosen).cloned().unwrap_or_default();
        for _ in 0..1 + self.below(4) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(max_len);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            0 | 1 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            2 | 3 => {
                let number = self.number().to_be_bytes();
                let width = 1 + self.below(8);
                let low = number.iter().skip(8 - width);
                bytes.iter_mut().skip(at).zip(low).for_each(|(to, from)| *to = *from);
            }
            4 => bytes.truncate(at),
            5 => {
                let more = 1 + self.below(16);
                let more = self.0.bytes(more);
                bytes.splice(at..at, more);
            }
            6 => {
                let end = bytes.len().min(at + 1 + self.below(16));
                bytes.drain(at..end);
            }
            7 => {
                // The rest of another input.
                let other = self.below(corpus.len());
                if let Some(other) = corpus.get(other) {
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend(other.get(from..).unwrap_or_default());
                }
            }
            _ => {
                // Some bytes once more.
                let end = bytes.len().min(at + 1 + self.below(32));
                let again = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, again);
            }
        }
    }

    fn number(&mut self) -> u64 {
        match self.below(3) {
            0 => self.0.word(),
            1 => self.below(64) as u64,
            _ => {
                let chosen = self.below(LIMITS.len());
                LIMITS.get(chosen).copied().unwrap_or(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_one_others() {
        let corpus = [vec![1, 2, 3], vec![9; 40]];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..100).map(|_| mutator.input(&corpus, 30)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().all(|input| input.len() <= 30));
        assert!(Mutator::new(3).input(&[], 10).len() <= 10);
    }
}
