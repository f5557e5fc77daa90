//! The blocks of a table: reads, verifies, decompresses, caches.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, FormatError, TableProtection};

use crate::block::block_cache::{BlockCache, TableId};
use crate::block::block_directory::{BlockDirectory, Stored};
use crate::block::cached_block::BlockSlots;
use crate::block::codec::{self, Decoded, Decoder};
use crate::block::memory::{Mapping, prefetch_around};
use crate::block::slice::{Slice, range_in};
use crate::block::source::Source;
use crate::block::triage::{FilePart, wrong_checksum, wrong_header};
use crate::{Corruption, FileLabel, ReadError};

/// Whether a block that had to be decompressed or read goes into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// It does: another lookup is likely to ask for it.
    Cache,
    /// It does, and its bytes were asked for if it was never read.
    CacheAsked,
    /// It does not: a scan would push everything else out.
    Bypass,
}

/// Bytes in front of the offset table that are asked for together with it, at least.
const MIN_TAIL_LEN: u64 = 4 << 10;

/// The blocks of one open table.
pub(crate) struct Blocks {
    label: FileLabel,
    source: Arc<Source>,
    /// All bytes of the file, if they are in memory.
    file: Option<Slice<'static>>,
    directory: BlockDirectory,
    cache: Arc<BlockCache>,
    id: TableId,
    /// Longest payload that memory is taken for, in bytes.
    max_payload_len: u64,
    /// Made when the first block is cached: a mapped table without compressed blocks needs none.
    slots: OnceLock<Arc<BlockSlots>>,
}

impl Blocks {
    /// Reads the offset table of `source`.
    pub(crate) fn open(
        label: FileLabel,
        mut source: Source,
        block_count: u16,
        protection: Option<&TableProtection>,
        cache: Arc<BlockCache>,
        max_payload_len: u64,
    ) -> Result<Self, ReadError> {
        let len = source.len();
        let table_len = OffsetTable::len_of(block_count) as u64;
        let mut buffer = Vec::new();
        // A file that is shorter than its offset table gives an error when that is parsed.
        let start = len.saturating_sub(table_len);
        source.expect_random_reads();
        // The index block is in front of the offset table, and seldom longer.
        let tail_start = start.saturating_sub(table_len.max(MIN_TAIL_LEN));
        source.prefetch_mapped(tail_start..len);
        let bytes = source.read(&label, None, start..len, &mut buffer)?;
        let headers = protection.map(|protection| &protection.block_headers);
        let directory = OffsetTable::parse(bytes, block_count, len)
            .and_then(|offsets| BlockDirectory::new(&offsets, headers))
            .map_err(|error| ReadError::corrupt(&label, error))?;
        let index_block = BlockIndex(block_count.saturating_sub(1));
        let index_start =
            directory.range(index_block).map_or(tail_start, |range| range.start.into());
        if index_start < tail_start {
            source.prefetch_mapped(index_start..tail_start);
        }
        let source = Arc::new(source);
        let file = Slice::of_source(Arc::clone(&source), Source::as_slice);
        Ok(Self {
            label,
            source,
            file,
            directory,
            cache,
            id: TableId::unique(),
            max_payload_len,
            slots: OnceLock::new(),
        })
    }

    pub(crate) const fn id(&self) -> TableId {
        self.id
    }

    pub(crate) const fn label(&self) -> &FileLabel {
        &self.label
    }

    pub(crate) const fn block_count(&self) -> u16 {
        self.directory.block_count()
    }

    /// The last block: the index block.
    pub(crate) const fn index_block(&self) -> BlockIndex {
        // `OffsetTable::parse` refuses a table without blocks.
        BlockIndex(self.block_count().saturating_sub(1))
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.source.len()
    }

    /// The payload of a block that must not be compressed.
    pub(crate) fn raw_payload(&self, block: BlockIndex) -> Result<Slice<'_>, ReadError> {
        if let Some(payload) = self.resident_payload(block) {
            return Ok(payload);
        }
        let mut buffer = Vec::new();
        let (header, stored) = self.stored_block(block, &mut buffer)?;
        if !codec::is_stored_raw(header) {
            return Err(self.corrupt(block, Corruption::CompressedIndex));
        }
        self.cache.count_load(stored.len(), stored.len());
        self.raw_block(block, stored)
    }

    /// The payload of a block that is stored raw, as it was read: where it lies, if the file is in
    /// memory, or a copy.
    fn raw_block(&self, block: BlockIndex, stored: &[u8]) -> Result<Slice<'_>, ReadError> {
        if self.file.is_none() {
            return self.decoder(block).copy(stored).map(Slice::of_block);
        }
        let stored_in_memory = self.stored_in_memory(block);
        stored_in_memory
            .ok_or_else(|| ReadError::internal(&self.label, "the blocks lie in the file"))
    }

    /// The uncompressed payload of a block. It comes from the first of these places that has it:
    /// the file, if that is in memory and the block is stored raw and was verified; the cache; the
    /// file, with all checks.
    #[inline]
    pub(crate) fn payload(&self, block: BlockIndex, fill: Fill) -> Result<Slice<'_>, ReadError> {
        match self.resident_or_cached(block) {
            Some(payload) => Ok(payload),
            None => self.load(block, fill),
        }
    }

    /// [`Blocks::payload`], if nothing has to be read or decompressed for it.
    #[inline]
    pub(crate) fn resident_or_cached(&self, block: BlockIndex) -> Option<Slice<'_>> {
        self.resident_payload(block).or_else(|| self.cached(block))
    }

    /// The payload of a block, if the cache has it.
    #[inline]
    pub(crate) fn cached(&self, block: BlockIndex) -> Option<Slice<'_>> {
        self.slots.get().and_then(|slots| slots.get(block)).and_then(Slice::of_guard)
    }

    /// [`Blocks::cached`] for a caller that reads byte `at` of it next, which is fetched meanwhile.
    #[inline]
    pub(crate) fn cached_at(&self, block: BlockIndex, at: usize) -> Option<Slice<'_>> {
        let slots = self.slots.get()?;
        slots.prefetch(block, at);
        slots.get(block).and_then(Slice::of_guard)
    }

    /// The payload of a block that was verified, if it lies in memory with its file.
    #[inline]
    pub(crate) fn resident_payload(&self, block: BlockIndex) -> Option<Slice<'_>> {
        match self.directory.verified(block) {
            Some(Stored::Raw) => self.stored_in_memory(block),
            Some(Stored::Compressed) | None => None,
        }
    }

    /// The stored payload of a block; `None` if the file is not in memory. A block that does not
    /// lie in the file, which the check of the offset table rules out, is `None` too:
    /// [`Blocks::raw_block`] reports it.
    #[inline]
    fn stored_in_memory(&self, block: BlockIndex) -> Option<Slice<'_>> {
        let range = self.directory.range(block)?;
        self.file.as_ref()?.part(|file| payload_of(file, range).ok_or(())).ok()
    }

    /// The part of the payload of a block that `choose` finds. `None` if something has to be done
    /// for the payload: see [`Blocks::resident_bytes`].
    #[inline(always)]
    pub(crate) fn resident_part<E>(
        &self,
        block: BlockIndex,
        choose: impl for<'x> FnOnce(&'x [u8]) -> Result<&'x [u8], E>,
    ) -> Option<Result<Slice<'_>, E>> {
        if self.directory.verified(block) != Some(Stored::Raw) {
            return None;
        }
        let range = self.directory.range(block)?;
        let part = self.file.as_ref()?.part(
            #[inline(always)]
            |file| match payload_of(file, range) {
                Some(payload) => choose(payload).map_err(Some),
                None => Err(None),
            },
        );
        match part {
            Ok(part) => Some(Ok(part)),
            Err(error) => error.map(Err),
        }
    }

    /// Turns `part`, a part of the result of [`Blocks::resident_bytes`], into a [`Slice`]. `None`
    /// if it is a part of other bytes.
    #[inline(always)]
    pub(crate) fn resident_slice(&self, part: &[u8]) -> Option<Slice<'_>> {
        let again = self.file.as_ref()?.part(
            #[inline(always)]
            |file| range_in(file, part).and_then(|range| file.get(range)).ok_or(()),
        );
        again.ok()
    }

    /// Bytes of the file, if it is in memory.
    #[inline(always)]
    pub(crate) fn file_bytes(&self, range: Range<u32>) -> Option<&[u8]> {
        self.file.as_ref()?.as_slice().get(range.start as usize..range.end as usize)
    }

    /// Where `part` lies in the file; `None` if it lies elsewhere in memory.
    pub(crate) fn range_of(&self, part: &[u8]) -> Option<Range<u32>> {
        let range = range_in(self.file.as_ref()?.as_slice(), part)?;
        Some(u32::try_from(range.start).ok()?..u32::try_from(range.end).ok()?)
    }

    /// The bytes of [`Blocks::payload`], if nothing has to be done for them: the file is in memory,
    /// the block is stored raw and was verified.
    #[inline(always)]
    pub(crate) fn resident_bytes(&self, block: BlockIndex) -> Option<&[u8]> {
        match self.directory.verified(block) {
            Some(Stored::Raw) => {
                payload_of(self.file.as_ref()?.as_slice(), self.directory.range(block)?)
            }
            Some(Stored::Compressed) | None => None,
        }
    }

    /// Fetches the cache line of byte `at` of a payload that is in memory, while other work goes
    /// on.
    #[inline]
    pub(crate) fn prefetch_line(&self, block: BlockIndex, at: usize) {
        match self.resident_bytes(block) {
            Some(bytes) => prefetch_around::<0>(bytes, at),
            None => {
                if let Some(slots) = self.slots.get() {
                    slots.prefetch(block, at);
                }
            }
        }
    }

    /// Fetches the entries of a block and its neighbours in the directory and among the slots.
    #[inline]
    pub(crate) fn prefetch_handles(&self, block: BlockIndex) {
        self.directory.prefetch_range(block);
        if let Some(slots) = self.slots.get() {
            slots.prefetch_slot(block);
        }
    }

    /// Header and stored payload of a block, verified; read into `buffer` if the file is not in
    /// memory.
    pub(crate) fn stored_block<'a>(
        &'a self,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        // Bytes in memory that were verified once are still there. Bytes from disk are new each
        // time.
        let is_verified = self.file.is_some() && self.directory.verified(block).is_some();
        self.stored_block_unless(is_verified, block, buffer)
    }

    /// [`Blocks::stored_block`], verified once more.
    pub(crate) fn reverified_block<'a>(
        &'a self,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        self.stored_block_unless(false, block, buffer)
    }

    fn stored_block_unless<'a>(
        &'a self,
        is_verified: bool,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        let range = self.range(block)?;
        let whole = u64::from(range.start)..u64::from(range.end);
        let bytes = self.source.read(&self.label, Some(block), whole, buffer)?;
        let part = FilePart { label: &self.label, start: range.start.into() };
        let copy = self.directory.protected_header(block);
        let copy = sst_format::planted!("copy-unchecked", copy, None);
        if let Some(copy) = copy.filter(|copy| !copy.matches(bytes, 0)) {
            return Err(self.corrupt(block, wrong_header(&self.source, &part, bytes, copy)));
        }
        let (header, stored) =
            BlockHeader::parse(bytes).map_err(|error| self.corrupt(block, error))?;
        if !is_verified {
            let computed = crc32fast::hash(stored);
            let computed = sst_format::planted!("checksum-unchecked", computed, header.checksum);
            if computed != header.checksum {
                let cause = wrong_checksum(&self.source, &part, bytes, header, computed);
                return Err(self.corrupt(block, cause));
            }
            let is_raw = codec::is_stored_raw(header);
            let stored_as = if is_raw { Stored::Raw } else { Stored::Compressed };
            if !self.directory.set_verified(block, stored_as) {
                return Err(ReadError::internal(&self.label, "a block with a range has a state"));
            }
        }
        Ok((header, stored))
    }

    /// The header of a block, not yet verified, and where the block lies.
    pub(crate) fn header(&self, block: BlockIndex) -> Result<(BlockHeader, Range<u32>), ReadError> {
        let range = self.range(block)?;
        let bytes = self
            .source
            .array(range.start.into())
            .map_err(|error| ReadError::io(&self.label, "read", error))?;
        Ok((BlockHeader::from_bytes(bytes), range))
    }

    /// The bytes of a block in the file, header included; `None` if there is no such block.
    pub(crate) fn byte_range(&self, block: BlockIndex) -> Option<Range<usize>> {
        self.directory.range(block).map(|range| range.start as usize..range.end as usize)
    }

    /// Starts to read a block, and does not wait for it.
    #[cold]
    pub(super) fn prefetch_pages(&self, block: BlockIndex) {
        // The read that follows reports a block that is not there.
        if let Some(range) = self.directory.range(block) {
            self.source.prefetch_pages(range.start.into()..range.end.into());
        }
    }

    /// Starts to read bytes of an object in a store.
    pub(super) fn prefetch_bytes(&self, range: Range<usize>) {
        self.source.prefetch_pages(range.start as u64..range.end as u64);
    }

    /// The length of an object in a store; `None` for other files. A table has less than 4 GiB.
    pub(super) fn stored_len(&self) -> Option<usize> {
        self.source.is_stored().then(|| self.source.len()).and_then(|len| usize::try_from(len).ok())
    }

    /// Whether the checksum of a block was found to be right before.
    #[inline]
    pub(super) fn is_verified(&self, block: BlockIndex) -> bool {
        self.directory.verified(block).is_some()
    }

    /// Whether more than half of the blocks were probably never read.
    pub(crate) fn is_mostly_new(&self) -> bool {
        self.directory.is_mostly_new()
    }

    /// The map of the file, if its pages are read only when they are touched or asked for.
    #[inline]
    pub(super) fn random_map(&self) -> Option<&Mapping> {
        self.source.random_map()
    }

    fn range(&self, block: BlockIndex) -> Result<Range<u32>, ReadError> {
        let block_count = self.block_count();
        let no_such_block = FormatError::NoSuchBlock { block: block.0, block_count };
        self.directory.range(block).ok_or_else(|| self.corrupt(block, no_such_block))
    }

    /// [`Blocks::payload`] of a block that [`Blocks::resident_or_cached`] does not find.
    #[cold]
    pub(crate) fn load(&self, block: BlockIndex, fill: Fill) -> Result<Slice<'_>, ReadError> {
        match fill {
            Fill::Cache => self.prefetch_whole(block),
            Fill::CacheAsked if self.is_verified(block) => self.prefetch_whole(block),
            Fill::CacheAsked => {}
            // Scans ask for more than one block at once.
            Fill::Bypass => {}
        }
        let mut buffer = Vec::new();
        let (header, stored) = self.stored_block(block, &mut buffer)?;
        let decoder = self.decoder(block);
        let payload = match decoder.decode(header, stored)? {
            Decoded::Decompressed(payload) => payload,
            Decoded::AsStored if self.file.is_some() => {
                self.cache.count_load(stored.len(), stored.len());
                return self.raw_block(block, stored);
            }
            Decoded::AsStored => decoder.copy(stored)?,
        };
        self.cache.count_load(stored.len(), payload.slice.len());
        if fill != Fill::Bypass {
            self.cache.insert(self.id, block, &payload, self.slots());
        }
        Ok(Slice::of_block(payload))
    }

    /// Decodes the payload of a block.
    pub(crate) const fn decoder(&self, block: BlockIndex) -> Decoder<'_> {
        Decoder { label: &self.label, block: Some(block), max_len: self.max_payload_len }
    }

    fn slots(&self) -> &Arc<BlockSlots> {
        self.slots.get_or_init(|| {
            #[cfg(sst_planted)]
            if sst_format::is_planted("tables-share-slots") {
                static SHARED: OnceLock<Arc<BlockSlots>> = OnceLock::new();
                let shared = SHARED.get_or_init(|| Arc::new(BlockSlots::new(u16::MAX)));
                return Arc::clone(shared);
            }
            Arc::new(BlockSlots::new(self.block_count()))
        })
    }

    fn corrupt(&self, block: BlockIndex, cause: impl Into<Corruption>) -> ReadError {
        ReadError::corrupt_block(&self.label, block, cause)
    }
}

/// The stored payload of the block at `range` of a file.
#[inline]
fn payload_of(file: &[u8], range: Range<u32>) -> Option<&[u8]> {
    let block = file.get(range.start as usize..range.end as usize)?;
    block.split_first_chunk::<BLOCK_HEADER_LEN>().map(|(_, payload)| payload)
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if self.slots.get().is_some() {
            self.cache.forget(self.id, self.block_count());
        }
    }
}
