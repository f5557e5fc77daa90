//! Reads the headers of a column's pages before any page is decompressed.
//!
//! The decoder allocates as much memory as a header states, and some codecs decompress more than
//! stated. So all headers are checked when a column is opened: no page may be longer than a limit,
//! and no dictionary may state more values than it has bytes. A header is a `PageHeader` in
//! Thrift's compact protocol:
//!
//! ```text
//! field  type    name
//!     1  i32     type: 0 data page, 1 index page, 2 dictionary page, 3 data page v2
//!     2  i32     uncompressed_page_size
//!     3  i32     compressed_page_size
//!     7  struct  dictionary_page_header, whose field 1 is num_values: i32
//! ```

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

/// The parts of a page header that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PageHeader {
    kind: i64,
    uncompressed_len: i64,
    compressed_len: i64,
    dictionary_values: i64,
}

const INDEX_PAGE: i64 = 1;
/// Highest nesting of structs and lists that is accepted; valid metadata has about ten levels.
const MAX_DEPTH: u32 = 20;

/// The uncompressed lengths of all pages of a column except index pages, in order.
pub(super) fn page_lens(
    file: &File,
    column: &ColumnChunkMetaData,
    max_len: u64,
) -> Result<Vec<u64>, ParquetError> {
    let (start, len) = column.byte_range();
    let (mut lens, mut offset, end) = (Vec::new(), start, start.saturating_add(len));
    while offset < end {
        let mut source = file.try_clone()?;
        source.seek(SeekFrom::Start(offset))?;
        let mut source = Thrift { source: BufReader::new(source).take(end - offset) };
        let header = source.page_header()?;
        offset = end - source.source.limit();
        let len = checked_len(&header, end - offset, max_len)?;
        // `checked_len` has checked that the page ends within the column.
        offset = offset.saturating_add_signed(header.compressed_len);
        if header.kind != INDEX_PAGE {
            lens.push(len);
        }
    }
    Ok(lens)
}

fn checked_len(header: &PageHeader, left: u64, max_len: u64) -> Result<u64, ParquetError> {
    let len = u64::try_from(header.uncompressed_len)?;
    let compressed_len = u64::try_from(header.compressed_len)?;
    if compressed_len > left {
        return Err(ParquetError::EOF("a page is longer than its column".to_owned()));
    }
    // No codec makes a page that it cannot compress longer by more than an eighth.
    let longest = len.max(compressed_len - compressed_len / 8);
    if longest > max_len {
        return Err(ParquetError::General(format!(
            "a page has {longest} bytes: the highest is {max_len}, which --max-value raises"
        )));
    }
    if u64::try_from(header.dictionary_values)? > len {
        return Err(ParquetError::General("a dictionary has more values than bytes".to_owned()));
    }
    Ok(len)
}

/// A reader of Thrift's compact protocol.
pub(super) struct Thrift<R> {
    pub(super) source: R,
}

impl<R: Read> Thrift<R> {
    fn page_header(&mut self) -> Result<PageHeader, ParquetError> {
        let mut header = PageHeader::default();
        self.fields(&mut |thrift, id, kind| {
            match (id, kind) {
                (1, 5) => header.kind = thrift.integer()?,
                (2, 5) => header.uncompressed_len = thrift.integer()?,
                (3, 5) => header.compressed_len = thrift.integer()?,
                (7, 12) => {
                    let values = &mut header.dictionary_values;
                    thrift.fields(&mut |thrift, id, kind| match (id, kind) {
                        (1, 5) => thrift.integer().map(|number| *values = number),
                        _ => thrift.skip(kind, 1),
                    })?;
                }
                _ => thrift.skip(kind, 0)?,
            }
            Ok(())
        })?;
        Ok(header)
    }

    /// Reads the fields of a struct. `read_field` gets each field's number and type, and reads its
    /// value.
    pub(super) fn fields(
        &mut self,
        read_field: &mut dyn FnMut(&mut Self, i64, u8) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let mut id = 0_i64;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Ok(());
            }
            // The high four bits are the increment of the field number, or 0 if the number follows.
            id = match byte >> 4 {
                0 => self.integer()?,
                distance => id.saturating_add(i64::from(distance)),
            };
            read_field(self, id, byte & 15)?;
        }
    }

    pub(super) fn skip(&mut self, kind: u8, depth: u32) -> Result<(), ParquetError> {
        if depth > MAX_DEPTH {
            return Err(broken());
        }
        match kind {
            // The value of a boolean field is part of its type.
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => self.skip_bytes(8)?,
            8 => {
                let len = self.varint()?;
                self.skip_bytes(len)?;
            }
            9 | 10 => {
                let byte = self.byte()?;
                let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                for _ in 0..count {
                    self.skip_element(byte & 15, depth + 1)?;
                }
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                for _ in 0..count {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 15, depth + 1)?;
                }
            }
            12 => self.fields(&mut |thrift, _, kind| thrift.skip(kind, depth + 1))?,
            _ => return Err(broken()),
        }
        Ok(())
    }

    /// Passes over a text, and returns its length in bytes.
    pub(super) fn skip_text(&mut self) -> Result<u64, ParquetError> {
        let len = self.varint()?;
        self.skip_bytes(len)?;
        Ok(len)
    }

    /// Reads the start of a list of structs, and returns their number.
    pub(super) fn list_of_structs(&mut self) -> Result<u64, ParquetError> {
        let byte = self.byte()?;
        let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        if byte & 15 == 12 { Ok(count) } else { Err(broken()) }
    }

    /// Skips an element of a list. Unlike a boolean field, a boolean element is one byte.
    fn skip_element(&mut self, kind: u8, depth: u32) -> Result<(), ParquetError> {
        if matches!(kind, 1 | 2) { self.byte().map(drop) } else { self.skip(kind, depth) }
    }

    /// Reads a signed number in zigzag encoding.
    pub(super) fn integer(&mut self) -> Result<i64, ParquetError> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn varint(&mut self) -> Result<u64, ParquetError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(broken())
    }

    fn byte(&mut self) -> Result<u8, ParquetError> {
        let mut byte = [0];
        self.source.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn skip_bytes(&mut self, len: u64) -> Result<(), ParquetError> {
        let skipped = std::io::copy(&mut self.source.by_ref().take(len), &mut std::io::sink())?;
        if skipped == len {
            Ok(())
        } else {
            Err(std::io::Error::from(ErrorKind::UnexpectedEof).into())
        }
    }
}

fn broken() -> ParquetError {
    ParquetError::General("a page header, or the metadata, makes no sense".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Result<PageHeader, ParquetError> {
        Thrift { source: bytes }.page_header()
    }

    /// A dictionary page of 200 bytes, 100 compressed, with 7 values.
    const DICTIONARY: [u8; 14] =
        [0x15, 4, 0x15, 0x90, 3, 0x15, 0xc8, 1, 0x4c, 0x15, 14, 0x11, 0, 0];

    #[test]
    fn headers_are_read_past_what_they_do_not_need() {
        let expected = PageHeader {
            kind: 2,
            uncompressed_len: 200,
            compressed_len: 100,
            dictionary_values: 7,
        };
        assert_eq!(header(&DICTIONARY).unwrap(), expected);
        // A header of a data page: a struct with two numbers, statistics with bytes, a list, a map.
        let data = [
            0x15, 0, 0x15, 20, 0x15, 20, 0x2c, 0x15, 2, 0x3c, 0x18, 3, 1, 2, 3, 0x17, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0x19, 0x25, 2, 4, 0x1b, 1, 0x51, 6, 1, 0, 0,
        ];
        let expected =
            PageHeader { uncompressed_len: 10, compressed_len: 10, ..PageHeader::default() };
        assert_eq!(header(&data).unwrap(), expected);
        for end in 0..DICTIONARY.len() {
            assert!(header(&DICTIONARY[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        // Endless nested structs, a list with more elements than there are bytes, an unknown type.
        assert!(header(&[0x1c; 100]).is_err());
        assert!(header(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(header(&[0x1d, 0]).is_err());
        let dictionary = header(&DICTIONARY).unwrap();
        assert_eq!(checked_len(&dictionary, 100, 200).unwrap(), 200);
        assert!(checked_len(&dictionary, 99, 200).is_err());
        assert!(checked_len(&dictionary, 100, 199).is_err());
        for header in [
            PageHeader { uncompressed_len: -1, ..dictionary },
            PageHeader { compressed_len: -1, ..dictionary },
            PageHeader { dictionary_values: 201, ..dictionary },
            PageHeader { dictionary_values: -1, ..dictionary },
        ] {
            assert!(checked_len(&header, 100, 200).is_err(), "{header:?}");
        }
    }
}
