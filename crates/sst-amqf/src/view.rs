//! A view of a filter, read in place from bytes that need not be trusted.

use crate::{
    cpu::BitInstructions,
    envelope::Envelope,
    layout::{HEADER_LEN, Layout, read_word},
    stats::FilterInfo,
};
use sst_format::filter::FilterError;

/// A filter in borrowed bytes, which are never copied.
///
/// ```
/// use sst_amqf::{QuotientFilter, QuotientFilterView};
/// use sst_format::filter::FilterPolicy;
///
/// let mut builder = QuotientFilter::default().builder();
/// builder.add_hashes(&[3, 5, 8]);
/// let bytes = builder.finish()?;
///
/// let view = QuotientFilterView::parse(&bytes)?;
/// view.validate()?;
/// assert!(view.may_contain(5));
/// assert!(!view.may_contain(6));
/// # Ok::<(), sst_format::filter::FilterError>(())
/// ```
#[derive(Clone, Copy)]
pub struct QuotientFilterView<'a> {
    buffer: &'a [u8],
    layout: Layout,
    fingerprint_count: u64,
    // Computed from the layout once, because every query needs them.
    block_len: usize,
    remainder_bits: u64,
    remainder_mask: u64,
    slot_mask: u64,
    /// The lowest bit of each of the remainders that fit one word.
    remainder_lows: u64,
    bit_instructions: Option<BitInstructions>,
}

/// One block of 64 slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// Number of slots at the start that belong to runs of earlier blocks; 255 stands for 255 or
    /// more.
    pub(crate) offset: u8,
    /// A bit for each quotient of this block that has a run.
    pub(crate) occupieds: u64,
    /// A bit for each slot of this block that ends a run.
    pub(crate) runends: u64,
    /// The packed remainders, and all bytes of the buffer behind them.
    pub(crate) remainders: &'a [u8],
}

impl<'a> QuotientFilterView<'a> {
    /// Parses the bytes of a filter.
    ///
    /// O(1): the length of the buffer is checked, not its contents. Queries of a view of damaged
    /// bytes are safe: they take bounded time and answer "maybe" where blocks visibly contradict
    /// each other. To check the contents, use [`check_structure`](Self::check_structure) or
    /// [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// [`FilterError`] if sizes, count or length are outside the limits of the format or contradict
    /// each other, or if bytes follow the last field.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FilterError> {
        let Envelope { buffer, fingerprint_count, layout } = Envelope::parse(bytes)?;
        let width = layout.remainder_bits();
        Ok(Self {
            buffer,
            layout,
            fingerprint_count,
            block_len: layout.block_len(),
            remainder_bits: u64::from(width),
            remainder_mask: layout.remainder_mask(),
            slot_mask: layout.slot_mask(),
            remainder_lows: (0..64 / width).fold(0, |lows, n| lows | 1 << (n * width)),
            bit_instructions: BitInstructions::detect(),
        })
    }

    /// Size and quality of the filter. O(1).
    #[must_use]
    pub fn info(&self) -> FilterInfo {
        FilterInfo::new(self.layout, self.fingerprint_count, self.buffer.len())
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    #[inline]
    pub(crate) fn remainder_bits(&self) -> u64 {
        self.remainder_bits
    }

    /// Quotient and remainder of a hash.
    #[inline]
    pub(crate) fn split_hash(&self, hash: u64) -> (u64, u64) {
        ((hash >> self.remainder_bits) & self.slot_mask, hash & self.remainder_mask)
    }

    #[inline]
    pub(crate) fn remainder_lows(&self) -> u64 {
        self.remainder_lows
    }

    /// The bit instructions, if this processor has them. They are detected once, when the view is
    /// made.
    #[inline]
    pub(crate) fn bit_instructions(&self) -> Option<BitInstructions> {
        self.bit_instructions
    }

    pub(crate) fn fingerprint_count(&self) -> u64 {
        self.fingerprint_count
    }

    pub(crate) fn buffer(&self) -> &'a [u8] {
        self.buffer
    }

    /// The block with this number. `None` if there is no such block: a query then answers "maybe".
    #[inline]
    pub(crate) fn block(&self, number: u64) -> Option<Block<'a>> {
        let (header, remainders) = self.block_bytes(number)?.split_first_chunk::<HEADER_LEN>()?;
        let (&offset, words) = header.split_first()?;
        let occupieds = read_word(words)?;
        let runends = read_word(words.get(8..)?)?;
        Some(Block { offset, occupieds, runends, remainders })
    }

    /// The bytes from the block with this number on.
    #[inline]
    pub(crate) fn block_bytes(&self, number: u64) -> Option<&'a [u8]> {
        self.buffer.get(usize::try_from(number).ok()? * self.block_len..)
    }

    /// As [`block`](Self::block), but numbers behind the last block start again at block 0.
    pub(crate) fn block_ahead(&self, number: u64) -> Option<Block<'a>> {
        self.block(number & (self.layout.blocks() - 1))
    }

    /// The remainder in slot `slot` of a block. `None` if the bytes end before it: a query then
    /// answers "maybe".
    pub(crate) fn remainder_at(&self, remainders: &[u8], slot: u64) -> Option<u64> {
        let width = self.remainder_bits;
        let bit = slot * width;
        let tail = remainders.get(usize::try_from(bit / 8).ok()?..)?;
        let shift = bit % 8;
        let low = read_word(tail)? >> shift;
        // A remainder that does not end within 8 bytes goes on in a ninth.
        let high = if shift + width > 64 { u64::from(*tail.get(8)?) << (64 - shift) } else { 0 };
        Some((low | high) & self.remainder_mask)
    }
}

impl core::fmt::Debug for QuotientFilterView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("QuotientFilterView")
            .field("layout", &self.layout)
            .field("fingerprint_count", &self.fingerprint_count)
            .finish_non_exhaustive()
    }
}
