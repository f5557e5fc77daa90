//! Random edits of inputs, drawn by `proptest`: the same ones for the same seed.

use proptest::prelude::*;
use proptest::sample::Index;

/// Numbers at the limits of fields: where off-by-one errors and overflows show.
const LIMITS: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// The most edits of one input.
const MOST: usize = 4;

/// One change to the bytes of an input, somewhere in it.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Flips a bit.
    Flip(Index, u8),
    /// Writes the low bytes of a number, 1 to 8 of them.
    Number(Index, u64, usize),
    /// Cuts off the rest.
    Truncate(Index),
    /// Inserts bytes.
    Insert(Index, Vec<u8>),
    /// Removes some bytes.
    Remove(Index, usize),
    /// Repeats some bytes.
    Repeat(Index, usize),
    /// Continues with the rest of another input of the corpus.
    Splice(Index, Index, Index),
}

/// An input of the corpus by its position, and what to change in it.
pub(crate) fn edits() -> impl Strategy<Value = (Index, Vec<Edit>)> {
    let number = prop_oneof![any::<u64>(), 0..64_u64, proptest::sample::select(&LIMITS[..])];
    let edit = prop_oneof![
        2 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (any::<Index>(), number, 1..=8_usize).prop_map(|(at, n, len)| Edit::Number(at, n, len)),
        1 => any::<Index>().prop_map(Edit::Truncate),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..=16))
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (any::<Index>(), 1..=16_usize).prop_map(|(at, len)| Edit::Remove(at, len)),
        1 => (any::<Index>(), 1..=32_usize).prop_map(|(at, len)| Edit::Repeat(at, len)),
        1 => any::<(Index, Index, Index)>().prop_map(|(at, from, of)| Edit::Splice(at, from, of)),
    ];
    (any::<Index>(), prop::collection::vec(edit, 1..=MOST))
}

/// The edited input, cut to `max_len` bytes. An empty corpus stands for one empty input.
pub(crate) fn apply(corpus: &[Vec<u8>], chosen: Index, edits: &[Edit], max_len: usize) -> Vec<u8> {
    let mut bytes = choose(corpus, chosen).to_vec();
    edits.iter().for_each(|edit| edit.apply(&mut bytes, corpus));
    bytes.truncate(max_len);
    bytes
}

fn choose(corpus: &[Vec<u8>], index: Index) -> &[u8] {
    if corpus.is_empty() { &[] } else { index.get(corpus).as_slice() }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        // The end is a place, too.
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) => {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Self::Number(at, number, len) => {
                let at = place(at, bytes);
                let number = number.to_be_bytes();
                let low = number.iter().skip(number.len() - len);
                bytes.iter_mut().skip(at).zip(low).for_each(|(to, from)| *to = *from);
            }
            Self::Truncate(at) => bytes.truncate(place(at, bytes)),
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                drop(bytes.splice(at..at, new.iter().copied()));
            }
            Self::Remove(at, len) => {
                let at = place(at, bytes);
                drop(bytes.drain(at..bytes.len().min(at + len)));
            }
            Self::Repeat(at, len) => {
                let at = place(at, bytes);
                let again: Vec<u8> = bytes.iter().skip(at).take(*len).copied().collect();
                drop(bytes.splice(at..at, again));
            }
            Self::Splice(at, from, of) => {
                let other = choose(corpus, *of);
                bytes.truncate(place(at, bytes));
                bytes.extend(other.iter().skip(place(from, other)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: [&[u8]; 2] = [&[1, 2, 3], &[9; 40]];

    proptest! {
        #[test]
        fn inputs_keep_to_the_limit((chosen, edits) in edits()) {
            let corpus = CORPUS.map(<[u8]>::to_vec);
            prop_assert!(apply(&corpus, chosen, &edits, 30).len() <= 30);
            prop_assert_eq!(apply(&corpus, chosen, &[], 50), choose(&corpus, chosen));
        }

        #[test]
        fn an_empty_corpus_is_an_empty_input((chosen, edits) in edits()) {
            let only_cuts = edits.iter().all(|edit| !matches!(edit, Edit::Insert(..)));
            prop_assert!(!only_cuts || apply(&[], chosen, &edits, 30).is_empty());
        }

        #[test]
        fn each_edit_does_what_it_says(at in any::<Index>(), other in any::<Index>()) {
            let corpus = CORPUS.map(<[u8]>::to_vec);
            let edited = |edit: Edit| {
                let mut bytes = vec![4; 5];
                edit.apply(&mut bytes, &corpus);
                bytes
            };
            let place = at.index(6);
            prop_assert_eq!(edited(Edit::Truncate(at)).len(), place);
            prop_assert_eq!(edited(Edit::Insert(at, vec![7, 8])).get(place).copied(), Some(7));
            prop_assert_eq!(edited(Edit::Remove(at, 2)).len(), 5 - (5 - place).min(2));
            prop_assert_eq!(edited(Edit::Repeat(at, 2)).len(), 5 + (5 - place).min(2));
            let flipped = edited(Edit::Flip(at, 3));
            prop_assert_eq!(flipped.iter().position(|&byte| byte == 12), Some(place).filter(|at| *at < 5));
            let numbered = edited(Edit::Number(at, 0x0102_0304, 2));
            prop_assert_eq!(numbered.get(place).copied(), Some(3).filter(|_| place < 5));
            prop_assert!(edited(Edit::Splice(at, other, other)).starts_with(&vec![4; place]));
        }
    }
}
