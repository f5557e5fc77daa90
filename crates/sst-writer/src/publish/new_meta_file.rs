//! A meta file that is to be written.

use sst_format::meta_head::{Area, DescribedTable, MetaFrame};

use crate::PublishError;
use crate::invariant::OrBroken;
use crate::publish::older_meta::{OlderMeta, PIECE_LEN};

/// An encoded meta file whose filters and block headers are still where they are: those of new
/// tables in memory, those of tables that are described again in older meta files.
#[derive(Debug)]
pub(crate) struct NewMetaFile<'a> {
    pub(crate) frame: MetaFrame,
    /// Its tables, in the order of the meta file.
    pub(crate) tables: Vec<TableBytes<'a>>,
}

/// The place of the filter and the block headers of a table.
#[derive(Debug)]
pub(crate) enum TableBytes<'a> {
    /// A table of the commit.
    Here(DescribedTable<'a>),
    /// A table of an older meta file.
    Older {
        /// The index of the meta file among those that are described again.
        meta: usize,
        filter: Area,
        headers: Area,
    },
}

impl NewMetaFile<'_> {
    /// Its length in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.frame.file_len
    }

    /// Passes on all bytes of the meta file, in pieces of up to [`PIECE_LEN`] bytes. `older` are
    /// the meta files that are described again.
    pub(crate) fn write(
        &self,
        older: &[OlderMeta<'_>],
        out: &mut dyn FnMut(&[u8]) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let older = |meta: usize| older.get(meta).or_broken("the older meta files are all there");
        let mut pieces = Pieces { pending: Vec::new(), hasher: crc32fast::Hasher::new(), out };
        pieces.add(&self.frame.start)?;
        for table in &self.tables {
            match table {
                TableBytes::Here(table) => pieces.add(table.filter)?,
                TableBytes::Older { meta, filter, .. } => {
                    older(*meta)?.copy(filter, &mut |piece| pieces.add(piece))?;
                }
            }
        }
        pieces.add(&self.frame.version)?;
        for table in &self.tables {
            match table {
                TableBytes::Here(table) => {
                    let mut headers = Vec::new();
                    table.headers.encode(&mut headers);
                    pieces.add(&headers)?;
                }
                TableBytes::Older { meta, headers, .. } => {
                    older(*meta)?.copy(headers, &mut |piece| pieces.add(piece))?;
                }
            }
        }
        pieces.add(&self.frame.end)?;
        pieces.finish()
    }

    /// All bytes of the meta file.
    pub(crate) fn bytes(&self, older: &[OlderMeta<'_>]) -> Result<Vec<u8>, PublishError> {
        let mut bytes = Vec::new();
        self.write(older, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// Gathers short pieces of a meta file, divides long ones, and computes the checksum of the file.
struct Pieces<'o> {
    pending: Vec<u8>,
    hasher: crc32fast::Hasher,
    out: &'o mut dyn FnMut(&[u8]) -> Result<(), PublishError>,
}

impl Pieces<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        self.hasher.update(bytes);
        self.pass(bytes)
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        for part in bytes.chunks(PIECE_LEN) {
            if self.pending.len() + part.len() > PIECE_LEN {
                (self.out)(&self.pending)?;
                self.pending.clear();
            }
            if part.len() == PIECE_LEN {
                (self.out)(part)?;
            } else {
                self.pending.extend_from_slice(part);
            }
        }
        Ok(())
    }

    /// Adds the checksum of all bytes, and passes on what is left.
    fn finish(mut self) -> Result<(), PublishError> {
        let checksum = self.hasher.clone().finalize();
        self.pass(&MetaFrame::trailer_end(checksum))?;
        if self.pending.is_empty() {
            return Ok(());
        }
        (self.out)(&self.pending)
    }
}
