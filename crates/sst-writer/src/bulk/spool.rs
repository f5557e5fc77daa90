//! A long run of bytes in a temporary file, written and read piece by piece.

use std::ops::Range;

use super::bulk_error::BulkError;
use super::spill_file::{SpillFile, SpillLocation};
use crate::WriteError;
use crate::codec::spliced_block::PIECE_LEN;
use crate::invariant::OrBroken;

/// Bytes in pieces of [`PIECE_LEN`]. All pieces but the one being filled are in the file.
#[derive(Debug)]
pub(super) struct Spool {
    file: SpillFile,
    pieces: Vec<SpillLocation>,
    /// The piece being filled.
    piece: Vec<u8>,
    /// Number of bytes in the file.
    spilled: u64,
    /// CRC-32 of the bytes in the file.
    checksum: u32,
}

impl Spool {
    pub(super) const fn new(file: SpillFile) -> Self {
        Self { file, pieces: Vec::new(), piece: Vec::new(), spilled: 0, checksum: 0 }
    }

    /// Number of bytes, the piece being filled included.
    pub(super) const fn len(&self) -> u64 {
        self.spilled + self.piece.len() as u64
    }

    /// CRC-32 of the bytes in the file.
    pub(super) const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The piece being filled.
    pub(super) const fn piece(&self) -> &[u8] {
        self.piece.as_slice()
    }

    /// Appends bytes until the piece is full. Returns the rest of the bytes.
    pub(super) fn fill<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], BulkError> {
        let room = PIECE_LEN.checked_sub(self.piece.len()).or_broken("a full piece is spilled")?;
        let (now, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        if self.piece.capacity() < PIECE_LEN {
            self.piece.try_reserve_exact(room).map_err(|_| WriteError::out_of_memory(PIECE_LEN))?;
        }
        self.piece.extend_from_slice(now);
        Ok(rest)
    }

    /// Whether the piece being filled must be spilled.
    pub(super) const fn is_full(&self) -> bool {
        self.piece.len() == PIECE_LEN
    }

    /// Appends bytes, and spills each piece that is full.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<(), BulkError> {
        while !bytes.is_empty() {
            bytes = self.fill(bytes)?;
            if self.is_full() {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// Writes the piece being filled to the file. A piece that is not full must be the last.
    pub(super) fn spill(&mut self) -> Result<(), BulkError> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.pieces.push(self.file.append(&self.piece)?);
        self.spilled += self.piece.len() as u64;
        let mut hasher = crc32fast::Hasher::new_with_initial(self.checksum);
        hasher.update(&self.piece);
        self.checksum = hasher.finalize();
        self.piece.clear();
        Ok(())
    }

    /// Passes the bytes in this range of the file to `out`, in order.
    pub(super) fn read(
        &self,
        range: Range<u64>,
        mut out: impl FnMut(&[u8]) -> Result<(), BulkError>,
    ) -> Result<(), BulkError> {
        const IN_FILE: &str = "a range that is read is in the file";
        let mut bytes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let number = usize::try_from(at / PIECE_LEN as u64).ok();
            let piece = number.and_then(|number| self.pieces.get(number)).or_broken(IN_FILE)?;
            self.file.read(*piece, &mut bytes)?;
            let start = at % PIECE_LEN as u64;
            let end = (start + (range.end - at)).min(bytes.len() as u64);
            let [from, to] = [start, end].map(|at| usize::try_from(at).ok());
            let part = from.zip(to).and_then(|(from, to)| bytes.get(from..to));
            let part = part.filter(|part| !part.is_empty()).or_broken(IN_FILE)?;
            out(part)?;
            at += part.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::file::OsFileSystem;

    #[test]
    fn any_range_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = SpillFile::new(Arc::new(OsFileSystem), directory.path().into());
        let mut spool = Spool::new(file);
        let bytes: Vec<u8> =
            (0..2 * PIECE_LEN + 100).map(|i| u8::try_from(i * i % 251).unwrap()).collect();
        bytes.chunks(300_001).for_each(|part| spool.append(part).unwrap());
        assert_eq!(spool.len(), bytes.len() as u64);
        spool.spill().unwrap();
        assert_eq!(spool.checksum(), crc32fast::hash(&bytes));
        let piece = PIECE_LEN;
        for range in
            [0..0, 0..1, 0..bytes.len(), 5..piece, piece - 1..piece + 1, piece..2 * piece + 9]
        {
            let mut read = Vec::new();
            let part = range.start as u64..range.end as u64;
            spool
                .read(part, |bytes| {
                    read.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
            assert!(read == bytes[range]);
        }
    }
}
