//! The blocks of a table: reads, verifies, decompresses, caches.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding};
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, FormatError, TableProtection};

use crate::block::block_cache::{BlockCache, TableId};
use crate::block::block_directory::{BlockDirectory, BlockState};
use crate::block::cached_block::{BlockSlots, SharedBlock, filled_block, shared_block};
use crate::block::memory::prefetch_around;
use crate::block::slice::Payload;
use crate::block::source::Source;
use crate::block::triage::{Place, wrong_checksum, wrong_header};
use crate::{Corruption, FileLabel, ReadError, ReaderOptions};

/// Whether a block that had to be decompressed or read goes into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// It does: it is likely to be asked for again.
    Cache,
    /// It does not: a scan would push everything else out.
    Bypass,
}

/// The blocks of one open table.
pub(crate) struct Blocks {
    label: FileLabel,
    source: Arc<Source>,
    directory: BlockDirectory,
    cache: Arc<BlockCache>,
    id: TableId,
    /// Made when the first block is cached: a mapped table without compressed blocks needs none.
    slots: OnceLock<Arc<BlockSlots>>,
}

impl Blocks {
    /// Reads the offset table of `source`.
    pub(crate) fn open(
        label: FileLabel,
        source: Source,
        block_count: u16,
        protection: Option<&TableProtection>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let len = source.len();
        let table_len = OffsetTable::len_of(block_count) as u64;
        let mut buffer = Vec::new();
        let start = len.saturating_sub(table_len);
        let bytes = source
            .with_bytes(start..len, &mut buffer)
            .map_err(|error| ReadError::io(&label, "read", error))?;
        let headers = protection.map(|protection| protection.block_headers.as_slice());
        let directory = OffsetTable::parse(bytes, block_count, len)
            .and_then(|offsets| BlockDirectory::new(&offsets, headers))
            .map_err(|error| ReadError::corrupt(&label, error))?;
        Ok(Self {
            label,
            source: Arc::new(source),
            directory,
            cache: options.cache_or_default(),
            id: TableId::unique(),
            slots: OnceLock::new(),
        })
    }

    pub(crate) const fn id(&self) -> TableId {
        self.id
    }

    pub(crate) const fn label(&self) -> &FileLabel {
        &self.label
    }

    pub(crate) fn block_count(&self) -> u16 {
        self.directory.block_count()
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.source.len()
    }

    /// The payload of a block that must be stored as it is.
    pub(crate) fn raw_payload(&self, block: BlockIndex) -> Result<Payload<'_>, ReadError> {
        let payload = self.payload(block, Fill::Bypass)?;
        if self.directory.state(block) == BlockState::VerifiedLz4 {
            return Err(self.corrupt(block, Corruption::CompressedIndex));
        }
        Ok(payload)
    }

    /// The uncompressed payload of a block.
    #[inline]
    pub(crate) fn payload(&self, block: BlockIndex, fill: Fill) -> Result<Payload<'_>, ReadError> {
        match self.verified_in_place(block) {
            Some(payload) => Ok(payload),
            None => self.cached_or_loaded(block, fill),
        }
    }

    /// The payload of a block, if nothing is left to do but to take it: it is in memory, raw and verified.
    #[inline]
    pub(crate) fn verified_in_place(&self, block: BlockIndex) -> Option<Payload<'_>> {
        match self.directory.state(block) {
            BlockState::VerifiedRaw => self.in_place(block),
            BlockState::VerifiedLz4 | BlockState::Unknown => None,
        }
    }

    /// Fetches the cache line of byte `at` of a payload that is in memory, while other work goes on.
    #[inline]
    pub(crate) fn prefetch(&self, block: BlockIndex, at: usize) {
        match self.verified_in_place(block) {
            Some(payload) => prefetch_around::<0>(payload.as_slice(), at),
            None => {
                if let Some(slots) = self.slots.get() {
                    slots.prefetch(block, at);
                }
            }
        }
    }

    /// Fetches what tells where a block and its neighbours are, in the file and in the cache.
    #[inline]
    pub(crate) fn prefetch_place(&self, block: BlockIndex) {
        self.directory.prefetch_range(block);
        if let Some(slots) = self.slots.get() {
            slots.prefetch_slot(block);
        }
    }

    #[inline]
    fn cached_or_loaded(&self, block: BlockIndex, fill: Fill) -> Result<Payload<'_>, ReadError> {
        match self.slots.get().and_then(|slots| slots.get(block)) {
            Some(cached) => Ok(Payload::Cached(cached)),
            None => self.load(block, self.directory.state(block), fill),
        }
    }

    /// The stored payload of a block of a file in memory.
    #[inline]
    fn in_place(&self, block: BlockIndex) -> Option<Payload<'_>> {
        let range = self.directory.range(block)?;
        let bytes = self.source.as_slice()?.get(range.start as usize..range.end as usize)?;
        let (_, bytes) = bytes.split_first_chunk::<BLOCK_HEADER_LEN>()?;
        Some(Payload::InPlace { source: &self.source, bytes })
    }

    /// Header and stored payload of a block, verified; read into `buffer` if the file is not in memory.
    pub(crate) fn stored<'a>(
        &'a self,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        // What was verified in memory is still there. What is read from disk is new each time.
        let in_memory = self.source.as_slice().is_some();
        let is_verified = in_memory && self.directory.state(block) != BlockState::Unknown;
        self.stored_unless(is_verified, block, buffer)
    }

    /// [`Blocks::stored`], verified once more.
    pub(crate) fn reverified<'a>(
        &'a self,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        self.stored_unless(false, block, buffer)
    }

    fn stored_unless<'a>(
        &'a self,
        is_verified: bool,
        block: BlockIndex,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(BlockHeader, &'a [u8]), ReadError> {
        let range = self.range(block)?;
        let bytes = self
            .source
            .with_bytes(u64::from(range.start)..u64::from(range.end), buffer)
            .map_err(|error| ReadError::io(&self.label, "read", error))?;
        let place = Place { label: &self.label, start: range.start.into() };
        let copy = self.directory.protected_header(block);
        let copy = sst_format::planted!("copy-unchecked", copy, None);
        if let Some(copy) = copy.filter(|copy| !copy.matches(bytes, 0)) {
            return Err(self.corrupt(block, wrong_header(&self.source, &place, bytes, copy)));
        }
        let (header, stored) =
            BlockHeader::parse(bytes).map_err(|error| self.corrupt(block, error))?;
        if !is_verified {
            let computed = crc32fast::hash(stored);
            let computed = sst_format::planted!("checksum-unchecked", computed, header.checksum);
            if computed != header.checksum {
                let cause = wrong_checksum(&self.source, &place, bytes, header, computed);
                return Err(self.corrupt(block, cause));
            }
            self.directory.set_verified(
                block,
                match header.encoding {
                    Encoding::Raw => BlockState::VerifiedRaw,
                    Encoding::Lz4 { .. } => BlockState::VerifiedLz4,
                },
            );
        }
        Ok((header, stored))
    }

    /// Where a block lies, and its header, not yet verified.
    pub(crate) fn header(
        &self,
        block: BlockIndex,
        buffer: &mut Vec<u8>,
    ) -> Result<(BlockHeader, Range<u32>), ReadError> {
        let range = self.range(block)?;
        let start = u64::from(range.start);
        let bytes = self
            .source
            .with_bytes(start..start + BLOCK_HEADER_LEN as u64, buffer)
            .map_err(|error| ReadError::io(&self.label, "read", error))?;
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        Ok((BlockHeader::from_bytes(bytes), range))
    }

    fn range(&self, block: BlockIndex) -> Result<Range<u32>, ReadError> {
        let block_count = self.block_count();
        let no_such_block = FormatError::NoSuchBlock { block: block.0, block_count };
        self.directory.range(block).ok_or_else(|| self.corrupt(block, no_such_block))
    }

    #[cold]
    fn load(
        &self,
        block: BlockIndex,
        state: BlockState,
        fill: Fill,
    ) -> Result<Payload<'_>, ReadError> {
        let mut buffer = Vec::new();
        let (header, stored) = self.stored(block, &mut buffer)?;
        let payload = match header.encoding {
            Encoding::Raw if state == BlockState::Unknown => match self.in_place(block) {
                Some(in_place) => {
                    self.cache.count_load(stored.len(), stored.len());
                    return Ok(in_place);
                }
                None => shared_block(stored),
            },
            Encoding::Raw => shared_block(stored),
            Encoding::Lz4 { uncompressed_len } => {
                decompress(stored, uncompressed_len).ok_or_else(|| {
                    let stated = u64::from(uncompressed_len);
                    self.corrupt(block, Corruption::Decompression { stated })
                })?
            }
        };
        self.cache.count_load(stored.len(), payload.slice.len());
        if fill == Fill::Cache {
            let slots = self.slots.get_or_init(|| {
                #[cfg(sst_planted)]
                if sst_format::is_planted("tables-share-slots") {
                    static SHARED: OnceLock<Arc<BlockSlots>> = OnceLock::new();
                    let shared = SHARED.get_or_init(|| Arc::new(BlockSlots::new(u16::MAX)));
                    return Arc::clone(shared);
                }
                Arc::new(BlockSlots::new(self.block_count()))
            });
            self.cache.insert(self.id, block, &payload, slots);
        }
        Ok(Payload::Shared(payload))
    }

    fn corrupt(&self, block: BlockIndex, cause: impl Into<Corruption>) -> ReadError {
        ReadError::corrupt_block(&self.label, block, cause)
    }
}

/// Longest payload that is decompressed by way of a buffer, in bytes: one copy costs less than clearing memory to
/// decompress into. Longer ones would need twice the memory.
const BUFFER_LEN: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Decompresses a payload whose header has been parsed, so that the length is one that LZ4 can reach. `None` if the
/// bytes are not an LZ4 block of exactly that length.
pub(crate) fn decompress(stored: &[u8], uncompressed_len: u32) -> Option<SharedBlock> {
    let len = usize::try_from(uncompressed_len).ok()?;
    let fill = |out: &mut [u8]| {
        lz4_flex::block::decompress_into(stored, out).is_ok_and(|written| written == len)
    };
    if len > BUFFER_LEN {
        return filled_block(len, fill);
    }
    let mut buffer = BUFFER.take();
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let payload = buffer.get_mut(..len).and_then(|out| fill(out).then(|| shared_block(out)));
    BUFFER.set(buffer);
    payload
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if self.slots.get().is_some() {
            self.cache.forget(self.id, self.block_count());
        }
    }
}
