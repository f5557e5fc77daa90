//! Decompresses pages that are compressed with zstd, gzip or Brotli.
//!
//! The `parquet` crate needs a C library for zstd, and the compressor of Brotli. For gzip it
//! decompresses beyond the length that the header of a page states.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

use brotli_decompressor::Decompressor;
use parquet::basic::Compression as ParquetCompression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::input::compression::{Compression, inflate};

/// Length of the decoder's buffer in bytes.
const BROTLI_BUFFER_LEN: usize = 4096;

/// Decompresses pages. The `parquet` crate reads them as if they were uncompressed.
pub(super) struct InflatedPages {
    as_stored: SerializedPageReader<File>,
    codec: PageCodec,
    /// Uncompressed lengths of the remaining pages, from their headers.
    lens: VecDeque<u64>,
}

/// A compression that this file decompresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageCodec {
    Gzip,
    Zstd,
    Brotli,
}

impl PageCodec {
    /// The codec of a compression, unless the `parquet` crate decompresses it.
    pub(super) const fn of(compression: ParquetCompression) -> Option<Self> {
        match compression {
            ParquetCompression::ZSTD(_) => Some(Self::Zstd),
            ParquetCompression::GZIP(_) => Some(Self::Gzip),
            ParquetCompression::BROTLI(_) => Some(Self::Brotli),
            _ => None,
        }
    }

    fn reader(self, bytes: &[u8]) -> Box<dyn Read + '_> {
        match self {
            Self::Gzip => inflate(Compression::Gzip, bytes),
            Self::Zstd => inflate(Compression::Zstd, bytes),
            Self::Brotli => Box::new(Decompressor::new(bytes, BROTLI_BUFFER_LEN)),
        }
    }
}

impl InflatedPages {
    pub(super) fn new(
        as_stored: SerializedPageReader<File>,
        codec: PageCodec,
        lens: Vec<u64>,
    ) -> Self {
        Self { as_stored, codec, lens: lens.into() }
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
        if !is_compressed {
            return Ok(Some(page));
        }
        let parts = usize::try_from(levels_len).ok().and_then(|len| buf.split_at_checked(len));
        let (levels, compressed) = parts
            .ok_or_else(|| ParquetError::EOF("the page is shorter than its levels".to_owned()))?;
        let inflated = inflated_page(self.codec, levels, compressed, len)?;
        let (Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. }) = &mut page;
        *buf = inflated.into();
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
    let mut page = Vec::new();
    page.try_reserve_exact(len).map_err(|error| ParquetError::External(Box::new(error)))?;
    page.extend_from_slice(levels);
    // A page with only nulls has no values to decompress.
    if !compressed.is_empty() {
        // Read one byte more than stated, to detect a page that is too long.
        let left = (len as u64 + 1).saturating_sub(page.len() as u64);
        codec.reader(compressed).take(left).read_to_end(&mut page)?;
    }
    match page.len() == len {
        true => Ok(page),
        false => Err(ParquetError::General(format!(
            "a page has other than the {len} bytes that its header states"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_length_that_its_header_states() {
        let text = vec![b'x'; 1 << 20];
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(&*text, level);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &text).unwrap();
        let gzip = gzip.finish().unwrap();
        for (codec, bytes) in [(PageCodec::Zstd, zstd), (PageCodec::Gzip, gzip)] {
            let page = |len| inflated_page(codec, b"levels", &bytes, len);
            assert_eq!(page(text.len() + 6).unwrap().len(), text.len() + 6);
            for len in [0, 6, 7, text.len(), text.len() + 5, text.len() + 7] {
                assert!(page(len).is_err(), "{len}");
            }
            assert!(inflated_page(codec, b"", &bytes[..bytes.len() - 1], text.len()).is_err());
        }
        assert_eq!(inflated_page(PageCodec::Zstd, b"levels", b"", 6).unwrap(), b"levels");
    }
}
