//! Decompresses pages.
//!
//! The `parquet` crate needs a C library for zstd and the compressor of Brotli, decompresses gzip
//! and frames of LZ4 beyond the length that the header of a page states, and aborts the process if
//! the system has no memory for a page. Here every page has exactly the stated length, and no
//! memory is an error.

use std::collections::VecDeque;
use std::io::Read;

use brotli_decompressor::Decompressor;
use parquet::basic::Compression as ParquetCompression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;

use super::page_memory::{PageFile, PageLimits, reserved};
use crate::input::compression::{Compression, inflate};

/// Length of the decoder's buffer of Brotli in bytes.
const BROTLI_BUFFER_LEN: usize = 4096;

/// Decompresses pages. The `parquet` crate reads them as if they were uncompressed.
pub(super) struct InflatedPages {
    as_stored: SerializedPageReader<PageFile>,
    /// `None` for pages that are not compressed.
    codec: Option<PageCodec>,
    limits: PageLimits,
    /// Uncompressed lengths of the remaining pages, from their headers.
    lens: VecDeque<u64>,
}

/// The compression of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageCodec {
    Stream(Compression),
    Brotli,
    Snappy,
    /// One LZ4 block.
    Lz4Raw,
    /// LZ4 blocks in the frames of Hadoop, or one block without a frame: what other programs take
    /// the deprecated codec `LZ4` for.
    Lz4Hadoop,
}

impl PageCodec {
    /// The codec, unless it is one that this file cannot decompress.
    pub(super) const fn of(compression: ParquetCompression) -> Option<Self> {
        match compression {
            ParquetCompression::ZSTD(_) => Some(Self::Stream(Compression::Zstd)),
            ParquetCompression::GZIP(_) => Some(Self::Stream(Compression::Gzip)),
            ParquetCompression::BROTLI(_) => Some(Self::Brotli),
            ParquetCompression::SNAPPY => Some(Self::Snappy),
            ParquetCompression::LZ4_RAW => Some(Self::Lz4Raw),
            ParquetCompression::LZ4 => Some(Self::Lz4Hadoop),
            _ => None,
        }
    }

    /// Decompresses values behind the levels in `page`, which are no longer than `len`. The page
    /// then has at most `len` bytes, or one more if the values are too long.
    fn inflate(
        self,
        compressed: &[u8],
        page: &mut Vec<u8>,
        len: usize,
    ) -> Result<(), ParquetError> {
        let levels_len = page.len();
        // Of a stream one byte more than stated is read, to detect a page that is too long.
        let most = (len - levels_len) as u64 + 1;
        let block = match self {
            Self::Stream(compression) => {
                inflate(compression, compressed).take(most).read_to_end(page)?;
                return Ok(());
            }
            Self::Brotli => {
                Decompressor::new(compressed, BROTLI_BUFFER_LEN).take(most).read_to_end(page)?;
                return Ok(());
            }
            Self::Snappy => snappy_block,
            Self::Lz4Raw => lz4_block,
            Self::Lz4Hadoop => lz4_hadoop_frames,
        };
        page.resize(len, 0);
        let (levels, out) = page.split_at_mut(levels_len);
        let whole_len = levels.len() + block(compressed, out)?;
        page.truncate(whole_len);
        Ok(())
    }
}

/// Decompresses into `out`, and returns the length of the result. A longer result is an error.
fn snappy_block(compressed: &[u8], out: &mut [u8]) -> Result<usize, ParquetError> {
    let decompressed = snap::raw::Decoder::new().decompress(compressed, out);
    decompressed.map_err(|error| ParquetError::External(Box::new(error)))
}

fn lz4_block(compressed: &[u8], out: &mut [u8]) -> Result<usize, ParquetError> {
    let decompressed = lz4_flex::block::decompress_into(compressed, out);
    decompressed.map_err(|error| ParquetError::External(Box::new(error)))
}

/// Each frame has the length of its result, that of its block (big-endian), and the block.
fn lz4_hadoop_frames(compressed: &[u8], out: &mut [u8]) -> Result<usize, ParquetError> {
    match in_frames(compressed, out) {
        Some(len) => Ok(len),
        None => lz4_block(compressed, out),
    }
}

/// The length of the result; `None` if these are no frames.
fn in_frames(mut frames: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut found = 0;
    while let Some((lens, rest)) = frames.split_first_chunk::<8>() {
        let [a, b, c, d, lens @ ..] = *lens;
        let [len, block_len] =
            [[a, b, c, d], lens].map(|len| usize::try_from(u32::from_be_bytes(len)));
        let (block, behind) = rest.split_at_checked(block_len.ok()?)?;
        let room = out.get_mut(found..)?.get_mut(..len.ok()?)?;
        if lz4_flex::block::decompress_into(block, room).ok()? != room.len() {
            return None;
        }
        found += room.len();
        frames = behind;
    }
    frames.is_empty().then_some(found)
}

impl InflatedPages {
    pub(super) fn new(
        as_stored: SerializedPageReader<PageFile>,
        codec: Option<PageCodec>,
        limits: PageLimits,
        lens: Vec<u64>,
    ) -> Self {
        Self { as_stored, codec, limits, lens: lens.into() }
    }

    fn next_len(&mut self) -> Result<usize, ParquetError> {
        let len = self.lens.pop_front().ok_or_else(|| {
            // `page_lens` has read as many headers when the column was opened.
            ParquetError::General("the file has changed while it was read".to_owned())
        })?;
        Ok(usize::try_from(len)?)
    }
}

impl Iterator for InflatedPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for InflatedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let Some(mut page) = self.as_stored.get_next_page()? else { return Ok(None) };
        let len = self.next_len()?;
        let (Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. }) = &page;
        // A data page of version 2 starts with its levels, which are never compressed.
        let (levels_len, is_compressed) = match &page {
            Page::DataPageV2 {
                def_levels_byte_len, rep_levels_byte_len, is_compressed, ..
            } => {
                (u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len), *is_compressed)
            }
            _ => (0, true),
        };
        let Some(codec) = self.codec.filter(|_| is_compressed) else {
            self.limits.check(&page)?;
            return Ok(Some(page));
        };
        let parts = usize::try_from(levels_len).ok().and_then(|len| buf.split_at_checked(len));
        let (levels, compressed) = parts
            .ok_or_else(|| ParquetError::EOF("the page is shorter than its levels".to_owned()))?;
        let inflated = inflated_page(codec, levels, compressed, len)?;
        let (Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. }) = &mut page;
        *buf = inflated.into();
        self.limits.check(&page)?;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.as_stored.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.next_len()?;
        self.as_stored.skip_next_page()
    }
}

/// Builds an uncompressed page of `len` bytes: its levels, then the decompressed values.
fn inflated_page(
    codec: PageCodec,
    levels: &[u8],
    compressed: &[u8],
    len: usize,
) -> Result<Vec<u8>, ParquetError> {
    let wrong_len = || {
        let text = format!("a page has other than the {len} bytes that its header states");
        ParquetError::General(text)
    };
    if levels.len() > len {
        return Err(wrong_len());
    }
    let mut page = reserved(len.saturating_add(1))?;
    page.extend_from_slice(levels);
    // A page with only nulls has no values to decompress.
    if !compressed.is_empty() {
        codec.inflate(compressed, &mut page, len)?;
    }
    if page.len() == len { Ok(page) } else { Err(wrong_len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, compressed with each codec.
    fn compressed(text: &[u8]) -> Vec<(PageCodec, Vec<u8>)> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(text, level);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text).unwrap();
        let frame = |text: &[u8]| {
            let block = lz4_flex::block::compress(text);
            let lens = [text.len(), block.len()].map(|len| u32::try_from(len).unwrap());
            [&lens[0].to_be_bytes()[..], &lens[1].to_be_bytes(), &block].concat()
        };
        let (first, second) = text.split_at(text.len() / 3);
        vec![
            (PageCodec::Stream(Compression::Zstd), zstd),
            (PageCodec::Stream(Compression::Gzip), gzip.finish().unwrap()),
            (PageCodec::Snappy, snap::raw::Encoder::new().compress_vec(text).unwrap()),
            (PageCodec::Lz4Raw, lz4_flex::block::compress(text)),
            (PageCodec::Lz4Hadoop, frame(text)),
            (PageCodec::Lz4Hadoop, [frame(first), frame(second)].concat()),
            (PageCodec::Lz4Hadoop, lz4_flex::block::compress(text)),
        ]
    }

    #[test]
    fn a_page_has_the_length_that_its_header_states() {
        let text = vec![b'x'; 1 << 20];
        for (codec, bytes) in compressed(&text) {
            let page = |len| inflated_page(codec, b"levels", &bytes, len);
            let whole = page(text.len() + 6).unwrap();
            assert!(whole == [b"levels", &text[..]].concat(), "{codec:?}");
            for len in [0, 6, 7, text.len(), text.len() + 5, text.len() + 7] {
                assert!(page(len).is_err(), "{codec:?} {len}");
            }
            let cut = inflated_page(codec, b"", &bytes[..bytes.len() - 1], text.len());
            assert!(cut.is_err(), "{codec:?}");
        }
        let zstd = PageCodec::Stream(Compression::Zstd);
        assert_eq!(inflated_page(zstd, b"levels", b"", 6).unwrap(), b"levels");
    }

    /// A frame of LZ4 states no length of its own. No page is longer than its header says.
    #[test]
    fn frames_of_lz4_are_no_pages() {
        let frame = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 5, 0, 0, 0, 0x10, b'x', 1, 0, 0];
        assert!(inflated_page(PageCodec::Lz4Hadoop, b"", &frame, 1000).is_err());
    }
}
