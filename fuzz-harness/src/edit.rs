//! Random edits of inputs, drawn by `proptest`: the same ones for the same seed.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Numbers at the limits of fields: where off-by-one errors and overflows show.
const LIMITS: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// The most edits of one input.
const MOST_EDITS: usize = 4;
/// The most bytes that an edit inserts, and removes unless it removes all behind it.
const MOST_BYTES: usize = 16;

/// Replaces some bytes of an input by others: an overwritten field, an insertion, a cut.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    at: Index,
    removed: usize,
    inserted: Vec<u8>,
}

/// An input of the corpus by its position, and the edits to make in it.
pub(crate) fn edits() -> impl Strategy<Value = (Index, Vec<Edit>)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..=MOST_BYTES);
    let number = (select(&LIMITS[..]), 1..=8_usize)
        .prop_map(|(number, len)| number.to_be_bytes().into_iter().skip(8 - len).collect());
    let change = prop_oneof![
        // As many bytes as it removes: all others stay where they are.
        4 => prop_oneof![bytes.clone(), number].prop_map(|bytes: Vec<u8>| (bytes.len(), bytes)),
        2 => (0..=MOST_BYTES, bytes),
        1 => Just((usize::MAX, Vec::new())),
    ];
    let edit = (any::<Index>(), change).prop_map(|(at, (removed, inserted))| Edit {
        at,
        removed,
        inserted,
    });
    (any::<Index>(), prop::collection::vec(edit, 1..=MOST_EDITS))
}

/// The edited input, cut to `max_len` bytes. An empty corpus stands for one empty input.
pub(crate) fn apply(corpus: &[Vec<u8>], chosen: Index, edits: &[Edit], max_len: usize) -> Vec<u8> {
    let mut bytes = if corpus.is_empty() { Vec::new() } else { chosen.get(corpus).clone() };
    edits.iter().for_each(|edit| edit.apply(&mut bytes));
    bytes.truncate(max_len);
    bytes
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        // The end is a place, too.
        let at = self.at.index(bytes.len() + 1);
        let end = at + self.removed.min(bytes.len() - at);
        bytes.splice(at..end, self.inserted.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn inputs_keep_to_the_limit((chosen, edits) in edits()) {
            let corpus = [vec![1, 2, 3], vec![9; 40]];
            prop_assert!(apply(&corpus, chosen, &edits, 30).len() <= 30);
            prop_assert_eq!(&apply(&corpus, chosen, &[], 50), chosen.get(&corpus));
            prop_assert_eq!(apply(&[], chosen, &[], 50), Vec::<u8>::new());
        }

        #[test]
        fn an_edit_replaces_the_removed_bytes(at in any::<Index>()) {
            let edited = |removed, inserted| {
                let mut bytes = vec![4; 5];
                Edit { at, removed, inserted }.apply(&mut bytes);
                bytes
            };
            let at = at.index(6);
            let overwritten = edited(2, vec![7]);
            prop_assert_eq!(overwritten.get(at), Some(&7));
            prop_assert_eq!(overwritten.len(), 6 - (5 - at).min(2));
            prop_assert_eq!(edited(usize::MAX, vec![8]), [vec![4; at], vec![8]].concat());
        }
    }
}
