//! Random edits of inputs, drawn by `proptest`: the same ones for the same seed.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Numbers at the limits of fields: where off-by-one errors and overflows show.
const LIMITS: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// The most edits of one input.
const MOST_EDITS: usize = 4;
/// The most bytes that an edit removes, unless it removes all behind it, and that it inserts.
const MOST_BYTES: usize = 16;

/// Replaces some bytes of an input by others: an overwritten field, an insertion, a cut, a splice.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    at: Index,
    removed: usize,
    inserted: Inserted,
}

#[derive(Clone, Debug)]
enum Inserted {
    Bytes(Vec<u8>),
    /// The rest of an input of the corpus, from some byte on.
    Rest(Index, Index),
}

/// An input of the corpus by its position, and the edits to make in it.
pub(crate) fn edits() -> impl Strategy<Value = (Index, Vec<Edit>)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..=MOST_BYTES);
    let number = (select(&LIMITS[..]), 1..=8_usize)
        .prop_map(|(number, len)| number.to_be_bytes().into_iter().skip(8 - len).collect());
    // As many bytes as it removes: all others stay where they are.
    let field = prop_oneof![bytes.clone(), number].prop_map(|bytes: Vec<u8>| (bytes.len(), bytes));
    let change = prop_oneof![
        4 => field.prop_map(|(len, bytes)| (len, Inserted::Bytes(bytes))),
        2 => (0..=MOST_BYTES, bytes).prop_map(|(len, bytes)| (len, Inserted::Bytes(bytes))),
        1 => any::<(Index, Index)>().prop_map(|(of, from)| (usize::MAX, Inserted::Rest(of, from))),
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
    let mut bytes = choose(corpus, chosen).to_vec();
    edits.iter().for_each(|edit| edit.apply(&mut bytes, corpus));
    bytes.truncate(max_len);
    bytes
}

fn choose(corpus: &[Vec<u8>], index: Index) -> &[u8] {
    if corpus.is_empty() { &[] } else { index.get(corpus).as_slice() }
}

/// A position in some bytes; the end is one, too.
fn position(bytes: &[u8], index: Index) -> usize {
    index.index(bytes.len() + 1)
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = position(bytes, self.at);
        let end = at + self.removed.min(bytes.len() - at);
        let inserted = match &self.inserted {
            Inserted::Bytes(inserted) => inserted.as_slice(),
            Inserted::Rest(of, from) => {
                let other = choose(corpus, *of);
                other.split_at(position(other, *from)).1
            }
        };
        bytes.splice(at..end, inserted.iter().copied());
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
            prop_assert_eq!(apply(&[], chosen, &[], 50), Vec::<u8>::new());
        }

        #[test]
        fn an_edit_replaces_the_removed_bytes(at in any::<Index>(), from in any::<Index>()) {
            let corpus = CORPUS.map(<[u8]>::to_vec);
            let edited = |removed, inserted| {
                let mut bytes = vec![4; 5];
                Edit { at, removed, inserted }.apply(&mut bytes, &corpus);
                bytes
            };
            let at = at.index(6);
            let overwritten = edited(2, Inserted::Bytes(vec![7]));
            prop_assert_eq!(overwritten.get(at), Some(&7));
            prop_assert_eq!(overwritten.len(), 6 - (5 - at).min(2));
            let spliced = edited(usize::MAX, Inserted::Rest(from, from));
            let rest = choose(&corpus, from);
            let rest = rest.split_at(position(rest, from)).1;
            prop_assert_eq!(spliced, [&vec![4; at], rest].concat());
        }
    }
}
