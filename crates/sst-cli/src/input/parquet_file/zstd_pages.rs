//! Pages that are compressed with zstd, which the `parquet` crate could only decompress with a library in C.

use std::fs::File;
use std::io::Read;

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;
use ruzstd::decoding::StreamingDecoder;

/// The most bytes that a page can have: its header has 31 bits for them.
const MAX_PAGE_LEN: u64 = i32::MAX as u64;

/// Decompresses pages that are read as if they were not compressed.
pub(super) struct ZstdPages {
    as_stored: SerializedPageReader<File>,
}

impl ZstdPages {
    pub(super) const fn new(as_stored: SerializedPageReader<File>) -> Self {
        Self { as_stored }
    }
}

impl Iterator for ZstdPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ZstdPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let Some(mut page) = self.as_stored.get_next_page()? else { return Ok(None) };
        let (Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. }) = &page;
        // The levels of such a page come first, as they are.
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
        let mut decompressed = levels.to_owned();
        // A page of nothing but nulls has no values to compress.
        if !compressed.is_empty() {
            let frame = StreamingDecoder::new(compressed);
            let frame = frame.map_err(|cause| ParquetError::External(Box::new(cause)))?;
            frame.take(MAX_PAGE_LEN).read_to_end(&mut decompressed)?;
        }
        let (Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. }) = &mut page;
        *buf = decompressed.into();
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.as_stored.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.as_stored.skip_next_page()
    }
}
