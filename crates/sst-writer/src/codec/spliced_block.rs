//! Compresses a long payload piece by piece into one LZ4 block, in bounded memory.
//!
//! An LZ4 block is a list of sequences: some literals, then a match, which copies from up to 64 KiB
//! before it. Only the last sequence has no match:
//!
//! ```text
//! token │ length of the literals, if 15 or more │ literals │ u16 offset │ length of the match …
//! ```
//!
//! Each piece is compressed with the 64 KiB before it as dictionary, which gives a block of its
//! own. The blocks become one block if the literals that end each of them move to the first
//! sequence of the next one:
//!
//! ```text
//! block of piece 1   "ab" match · "cd" match · "xyz"
//! block of piece 2   "ef" match · "gh"
//! together           "ab" match · "cd" match · "xyzef" match · "gh"
//! ```
//!
//! If a piece has no match, all of it is moved on. So the moved literals can be longer than memory:
//! the caller keeps the payload, and copies the literals from there when their sequence is written.

use std::ops::Range;

use lz4_flex::block::{compress_into_with_dict, get_maximum_output_size};

use super::CompressError;
use crate::invariant::{BrokenInvariant, OrBroken};

/// Length of the pieces in bytes, except for the last one.
pub(crate) const PIECE_LEN: usize = 1 << 20;
/// Longest distance from a match to its source, in bytes, rounded up.
const WINDOW_LEN: usize = 64 << 10;
/// The number of literals that a token cannot state; as many and more have a length behind it.
const LONG: u64 = 15;
/// Length in bytes of a part of a long length.
const LENGTH_PART: usize = 4 << 10;
/// The invariant of the blocks that LZ4 returns.
const VALID_BLOCK: &str = "a compressed piece is a list of sequences";

/// A part of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockPart<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes of the payload from and to these positions.
    Payload(Range<u64>),
}

/// Compresses the pieces of a payload. Its buffers take 1.2 times the length of a piece.
#[derive(Debug, Default)]
pub(crate) struct SplicedBlock {
    /// Number of bytes of the pieces so far.
    len: u64,
    /// Number of literals at their end that belong to the next sequence.
    moved: u64,
    /// The last bytes of the pieces so far, at most [`WINDOW_LEN`].
    window: Vec<u8>,
    /// The block of one piece.
    room: Vec<u8>,
}

impl SplicedBlock {
    /// Adds a piece, and passes the parts of the block that are known then to `out`, in order.
    pub(crate) fn push<E: From<CompressError>>(
        &mut self,
        piece: &[u8],
        mut out: impl FnMut(BlockPart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut room = std::mem::take(&mut self.room);
        let block = self.compress(piece, &mut room)?;
        match Sequences::of(block).map_err(CompressError::from)? {
            Some(sequences) => {
                let literals = self.moved + sequences.first_literals;
                self.put_start(sequences.first_token, literals, &mut out)?;
                out(BlockPart::Bytes(sequences.behind_start))?;
                self.moved = sequences.last_literals;
            }
            None => self.moved += piece.len() as u64,
        }
        self.len += piece.len() as u64;
        self.keep_window(piece)?;
        self.room = room;
        Ok(())
    }

    /// Ends the payload, and passes the last parts of the block to `out`.
    pub(crate) fn finish<E: From<CompressError>>(
        self,
        mut out: impl FnMut(BlockPart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put_start(0, self.moved, &mut out)
    }

    /// Passes on the start of a sequence with this number of literals: token, length, and those
    /// literals that were moved to it. The low half of `token` is about its match.
    #[expect(clippy::cast_possible_truncation, reason = "less than 15 fits a byte")]
    fn put_start<E>(
        &self,
        token: u8,
        literals: u64,
        out: &mut impl FnMut(BlockPart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let low = token & 0x0f;
        match literals.checked_sub(LONG) {
            None => out(BlockPart::Bytes(&[(literals as u8) << 4 | low]))?,
            Some(more) => {
                out(BlockPart::Bytes(&[0xf0 | low]))?;
                put_length(more, out)?;
            }
        }
        let moved = usize::try_from(self.moved).ok();
        let in_window = moved.and_then(|moved| self.window.len().checked_sub(moved));
        match in_window.and_then(|from| self.window.get(from..)) {
            Some(literals) => out(BlockPart::Bytes(literals)),
            None => out(BlockPart::Payload(self.len - self.moved..self.len)),
        }
    }

    /// The block of a piece, in `room`.
    fn compress<'a>(&self, piece: &[u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], CompressError> {
        let longest = get_maximum_output_size(piece.len());
        if let Some(more) = longest.checked_sub(room.len()) {
            let refused = |_| CompressError::NoMemory { bytes: longest };
            room.try_reserve_exact(more).map_err(refused)?;
            room.resize(longest, 0);
        }
        let len = compress_into_with_dict(piece, room, &self.window)
            .or_broken("a compressed form fits into the room that LZ4 asks for")?;
        Ok(room.get(..len).or_broken("a compressed form lies in its room")?)
    }

    /// Keeps the end of the pieces as the dictionary of the next one.
    fn keep_window(&mut self, piece: &[u8]) -> Result<(), CompressError> {
        let from = piece.len().saturating_sub(WINDOW_LEN);
        let end = piece.get(from..).or_broken("a window is not longer than its piece")?;
        // A short piece, which is the last one, needs no dictionary behind it.
        self.window.clear();
        let refused = |_| CompressError::NoMemory { bytes: WINDOW_LEN };
        self.window.try_reserve_exact(end.len()).map_err(refused)?;
        self.window.extend_from_slice(end);
        Ok(())
    }
}

/// Passes on a length behind a token: a byte of 255 for each 255, then the rest.
fn put_length<E>(len: u64, out: &mut impl FnMut(BlockPart<'_>) -> Result<(), E>) -> Result<(), E> {
    let full = [u8::MAX; LENGTH_PART];
    let mut left = len / 255;
    while left > 0 {
        // All of them, unless fewer are left.
        let part = full.get(..usize::try_from(left).unwrap_or(LENGTH_PART)).unwrap_or(&full);
        out(BlockPart::Bytes(part))?;
        left -= part.len() as u64;
    }
    out(BlockPart::Bytes(&[(len % 255) as u8]))
}

/// The sequences of a block with at least one match.
struct Sequences<'a> {
    first_token: u8,
    /// Number of literals of the first sequence.
    first_literals: u64,
    /// From the first literals on, up to the last sequence.
    behind_start: &'a [u8],
    /// Number of literals of the last sequence.
    last_literals: u64,
}

impl<'a> Sequences<'a> {
    /// Walks a block. `None` if it has no match. O(number of sequences).
    fn of(block: &'a [u8]) -> Result<Option<Self>, BrokenInvariant> {
        let mut walk = Walk { rest: block };
        let (first_token, first_literals) = walk.start()?;
        let start_len = block.len() - walk.rest.len();
        let (mut token, mut literals) = (first_token, first_literals);
        let mut last_starts_at = None;
        loop {
            walk.skip(literals)?;
            if walk.rest.is_empty() {
                break;
            }
            walk.skip_match(token)?;
            last_starts_at = Some(block.len() - walk.rest.len());
            (token, literals) = walk.start()?;
        }
        let Some(end) = last_starts_at else { return Ok(None) };
        let behind_start = block.get(start_len..end).or_broken(VALID_BLOCK)?;
        Ok(Some(Self { first_token, first_literals, behind_start, last_literals: literals }))
    }
}

/// A walk over the sequences of a block.
struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    /// The token of a sequence, and the number of its literals, which come next.
    fn start(&mut self) -> Result<(u8, u64), BrokenInvariant> {
        let token = self.byte()?;
        let literals = match u64::from(token >> 4) {
            LONG => LONG + self.length()?,
            few => few,
        };
        Ok((token, literals))
    }

    /// Passes over a match: its offset, and the rest of its length.
    fn skip_match(&mut self, token: u8) -> Result<(), BrokenInvariant> {
        self.skip(2)?;
        if u64::from(token & 0x0f) == LONG {
            self.length()?;
        }
        Ok(())
    }

    fn length(&mut self) -> Result<u64, BrokenInvariant> {
        let mut len = 0;
        loop {
            let byte = self.byte()?;
            len += u64::from(byte);
            if byte != u8::MAX {
                return Ok(len);
            }
        }
    }

    fn byte(&mut self) -> Result<u8, BrokenInvariant> {
        let (first, rest) = self.rest.split_first().or_broken(VALID_BLOCK)?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip(&mut self, len: u64) -> Result<(), BrokenInvariant> {
        // A length that no address reaches is longer than the block.
        let rest = usize::try_from(len).ok().and_then(|len| self.rest.get(len..));
        self.rest = rest.or_broken(VALID_BLOCK)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block of a payload that comes in pieces of this length.
    fn spliced(payload: &[u8], piece_len: usize) -> Vec<u8> {
        let mut block = Vec::new();
        let mut splicer = SplicedBlock::default();
        let mut put = |part: BlockPart<'_>| {
            match part {
                BlockPart::Bytes(bytes) => block.extend_from_slice(bytes),
                BlockPart::Payload(Range { start, end }) => {
                    let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap());
                    block.extend_from_slice(&payload[start..end]);
                }
            }
            Ok::<_, CompressError>(())
        };
        for piece in payload.chunks(piece_len) {
            splicer.push(piece, &mut put).unwrap();
        }
        splicer.finish(&mut put).unwrap();
        block
    }

    /// Checks the rules for the end of a block, which some decoders rely on: the last 5 bytes are
    /// literals, and the last match starts at least 12 bytes before the end.
    fn check_end(block: &[u8], len: usize) {
        let Some(Sequences { last_literals, .. }) = Sequences::of(block).unwrap() else { return };
        let last_literals = usize::try_from(last_literals).unwrap();
        assert!(last_literals >= 5 && last_literals <= len);
        let mut walk = Walk { rest: block };
        let (mut at, mut last_match) = (0, 0);
        loop {
            let (token, literals) = walk.start().unwrap();
            walk.skip(literals).unwrap();
            at += usize::try_from(literals).unwrap();
            if walk.rest.is_empty() {
                break;
            }
            last_match = at;
            let before = walk.rest;
            walk.skip_match(token).unwrap();
            let more = match token & 15 {
                15 => Walk { rest: &before[2..] }.length().unwrap(),
                _ => 0,
            };
            at += 4 + usize::from(token & 15) + usize::try_from(more).unwrap();
        }
        assert_eq!(at, len);
        assert!(last_match + 12 <= len, "{last_match} {len}");
    }

    fn random(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[7]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn pieces_become_one_valid_block() {
        let text: Vec<u8> =
            (0..40_000_u32).flat_map(|i| format!("{} ", i % 977).into_bytes()).collect();
        let noise = random(70_000);
        let zeros = vec![0; 300_000];
        let mixed = [&text[..5000], &noise, &zeros[..1000], &noise[..50], &text].concat();
        for payload in [&text, &noise, &zeros, &mixed] {
            for piece_len in [1000, 4096, 65_536, 100_000, 1 << 20] {
                for len in [0, 1, 4, 5, 12, 13, 14, 999, 1000, 1001, 1012, 66_000, payload.len()] {
                    let payload = &payload[..len.min(payload.len())];
                    let block = spliced(payload, piece_len);
                    let back = lz4_flex::block::decompress(&block, payload.len()).unwrap();
                    assert!(back == payload, "{piece_len} {len}");
                    check_end(&block, payload.len());
                }
            }
        }
    }

    #[test]
    fn a_payload_of_one_piece_is_compressed_as_always() {
        for payload in [random(3000), vec![7; 100_000], b"ab".repeat(40_000)] {
            assert_eq!(spliced(&payload, PIECE_LEN), lz4_flex::block::compress(&payload));
        }
    }

    #[test]
    fn pieces_share_what_they_repeat() {
        let noise = random(30_000);
        let payload = noise.repeat(10);
        let block = spliced(&payload, noise.len());
        assert!(block.len() < noise.len() + 2000, "{}", block.len());
    }

    #[test]
    fn literals_of_any_number_are_moved_on() {
        let noise = random(60_000);
        let mut splicer = SplicedBlock::default();
        let mut parts = Vec::new();
        for piece in noise.chunks(20_000) {
            let put = |part: BlockPart<'_>| {
                parts.push(format!("{part:?}"));
                Ok::<_, CompressError>(())
            };
            splicer.push(piece, put).unwrap();
        }
        assert!(parts.is_empty(), "noise has no matches");
        assert_eq!(splicer.moved, 60_000);
    }
}
