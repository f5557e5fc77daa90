//! The blocks of a table on disk, each verified when it is read.

use std::path::{Path, PathBuf};

use sst_format::block::{BlockHeader, Encoding};
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, SstMeta};

use super::table_defect::TableDefect;
use crate::{FileError, FileOperation, FileSystem, PublishError, StoredFile};

/// A table on disk with its description. A block is read when it is needed, and checked against the copy of its header and
/// its checksum each time.
#[derive(Debug)]
pub(crate) struct StoredTable {
    pub(crate) path: PathBuf,
    file: Box<dyn StoredFile>,
    pub(crate) meta: SstMeta,
    offsets: Vec<u8>,
    /// Whether each block is referred to, and whether it was read.
    seen: Vec<Seen>,
    /// A block as it is stored.
    stored: Vec<u8>,
}

impl StoredTable {
    /// Opens the table at `path`, and checks its length and its offset table.
    pub(crate) fn open(
        file_system: &dyn FileSystem,
        path: &Path,
        meta: &SstMeta,
    ) -> Result<Self, PublishError> {
        let error = |operation| FileError::at(path, operation);
        let file = file_system.open(path).map_err(error(FileOperation::Read))?;
        let found = file.file_size().map_err(error(FileOperation::Read))?;
        let mut table = Self {
            path: path.to_owned(),
            file,
            meta: meta.clone(),
            offsets: vec![0; OffsetTable::len_of(meta.block_count)],
            seen: vec![Seen::default(); usize::from(meta.block_count)],
            stored: Vec::new(),
        };
        let (expected, offsets_len) = (meta.file_size, table.offsets.len() as u64);
        let start = expected.checked_sub(offsets_len).filter(|_| found == expected);
        let wrong_size = || table.defect(None, TableDefect::FileSize { expected, found });
        let start = start.ok_or_else(wrong_size)?;
        table.file.read_exact_at(&mut table.offsets, start).map_err(error(FileOperation::Read))?;
        table.offset_table()?.validate().map_err(|cause| table.defect(None, cause))?;
        Ok(table)
    }

    fn offset_table(&self) -> Result<OffsetTable<'_>, PublishError> {
        OffsetTable::parse(&self.offsets, self.meta.block_count, self.meta.file_size)
            .map_err(|cause| self.defect(None, cause))
    }

    /// An error that names the table and perhaps a block of it.
    pub(crate) fn defect(
        &self,
        block: Option<BlockIndex>,
        reason: impl Into<TableDefect>,
    ) -> PublishError {
        PublishError::BadTable { path: self.path.clone(), block, reason: reason.into() }
    }

    /// Reads a block and verifies it. Returns its header and its payload as stored.
    pub(crate) fn stored(
        &mut self,
        block: BlockIndex,
    ) -> Result<(BlockHeader, &[u8]), PublishError> {
        let range = self.offset_table()?.range(block);
        let range = range.map_err(|cause| self.defect(Some(block), cause))?;
        // Lengths of blocks come from a file of that length.
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        self.stored.resize(len, 0);
        self.file
            .read_exact_at(&mut self.stored, u64::from(range.start))
            .map_err(FileError::at(&self.path, FileOperation::Read))?;
        let index = usize::from(block.0);
        if let Some(seen) = self.seen.get_mut(index) {
            seen.is_read = true;
        }
        let copies = self.meta.protection.as_ref().map(|protection| &protection.block_headers);
        let copy = copies.and_then(|headers| headers.get(index));
        let defect =
            |reason| PublishError::BadTable { path: self.path.clone(), block: Some(block), reason };
        let (header, payload) =
            BlockHeader::parse(&self.stored).map_err(|cause| defect(cause.into()))?;
        if copy.is_some_and(|copy| *copy != header) {
            return Err(defect(TableDefect::Header));
        }
        let computed = crc32fast::hash(payload);
        if computed != header.checksum {
            return Err(defect(TableDefect::Checksum { stored: header.checksum, computed }));
        }
        Ok((header, payload))
    }

    /// Reads a block and decompresses it into `out`.
    pub(crate) fn payload(
        &mut self,
        block: BlockIndex,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishError> {
        let (header, stored) = self.stored(block)?;
        match decompress(header, stored, out) {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.defect(Some(block), reason)),
        }
    }

    /// Notes that an entry or the index refers to a block.
    pub(crate) fn refer_to(&mut self, block: BlockIndex) {
        if let Some(seen) = self.seen.get_mut(usize::from(block.0)) {
            seen.is_referred_to = true;
        }
    }

    /// Reads every block that was referred to and not read, and fails if there is one that nothing refers to.
    pub(crate) fn read_the_rest(&mut self) -> Result<(), PublishError> {
        let mut payload = Vec::new();
        for block in (0..self.meta.block_count).map(BlockIndex) {
            let seen = self.seen.get(usize::from(block.0)).copied().unwrap_or_default();
            if !seen.is_referred_to {
                return Err(self.defect(Some(block), TableDefect::UnusedBlock));
            }
            if !seen.is_read {
                self.payload(block, &mut payload)?;
            }
        }
        Ok(())
    }
}

/// What has become of a block so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    is_referred_to: bool,
    is_read: bool,
}

/// Decompresses what is stored behind a header, of which [`BlockHeader::parse`] has checked that it is possible.
pub(crate) fn decompress(
    header: BlockHeader,
    stored: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TableDefect> {
    out.clear();
    match header.encoding {
        Encoding::Raw => out.extend_from_slice(stored),
        Encoding::Lz4 { uncompressed_len } => {
            let stated = u64::from(uncompressed_len);
            let failed = TableDefect::Decompression { stated };
            out.resize(usize::try_from(uncompressed_len).unwrap_or(usize::MAX), 0);
            match lz4_flex::block::decompress_into(stored, out) {
                Ok(len) if len == out.len() => {}
                _ => return Err(failed),
            }
        }
    }
    Ok(())
}
