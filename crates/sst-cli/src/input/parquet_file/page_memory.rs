//! The memory of pages: files whose reads may be refused memory, and checks before the decoder
//! allocates what a page states.
//!
//! The decoder of the `parquet` crate cannot be refused memory: the process would be aborted. So
//! everything of a page that it allocates in one piece is checked against a limit, and asked of the
//! system and given back right before.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

/// A file whose pages are read into memory that the system may refuse.
pub(super) struct PageFile(Arc<File>);

impl PageFile {
    pub(super) const fn new(file: Arc<File>) -> Self {
        Self(file)
    }
}

impl Length for PageFile {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for PageFile {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if self.len().saturating_sub(start) < length as u64 {
            return Err(ParquetError::EOF("a page ends behind the end of the file".to_owned()));
        }
        let mut bytes = reserved(length)?;
        let mut source = self.0.try_clone()?;
        source.seek(SeekFrom::Start(start))?;
        if source.take(length as u64).read_to_end(&mut bytes)? != length {
            return Err(ParquetError::EOF("the file has become shorter".to_owned()));
        }
        Ok(bytes.into())
    }
}

/// An empty buffer for `len` bytes.
pub(super) fn reserved(len: usize) -> Result<Vec<u8>, ParquetError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|error| ParquetError::External(Box::new(error)))?;
    Ok(buffer)
}

/// The limits of the memory that the decoder takes for a page besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageLimits {
    /// Highest number of bytes.
    pub(super) max_len: u64,
    /// Memory of a value of a dictionary, in bytes.
    value_len: usize,
    /// Whether cells may be null, so that a page starts with their levels.
    has_levels: bool,
    /// Whether a row may have many values, which the decoder then puts together at once.
    is_repeated: bool,
}

impl PageLimits {
    pub(super) fn of(column: &ColumnDescriptor, max_len: u64) -> Self {
        let value_len = match column.physical_type() {
            Type::BOOLEAN => size_of::<bool>(),
            Type::INT32 | Type::FLOAT => size_of::<i32>(),
            Type::INT64 | Type::DOUBLE => size_of::<i64>(),
            Type::INT96 => size_of::<Int96>(),
            Type::BYTE_ARRAY => size_of::<ByteArray>(),
            Type::FIXED_LEN_BYTE_ARRAY => size_of::<FixedLenByteArray>(),
        };
        let (has_levels, is_repeated) = (column.max_def_level() > 0, column.max_rep_level() > 0);
        Self { max_len, value_len, has_levels, is_repeated }
    }

    /// Checks a page: the values of a dictionary, and the lists of lengths of values that are
    /// encoded as differences.
    pub(super) fn check(&self, page: &Page) -> Result<(), ParquetError> {
        let (count, encoding) = match page {
            Page::DictionaryPage { num_values, .. } => {
                return self.check_room(*num_values, self.value_len);
            }
            Page::DataPage { num_values, encoding, .. }
            | Page::DataPageV2 { num_values, encoding, .. } => (*num_values, *encoding),
        };
        let lists = match encoding {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => return Ok(()),
        };
        self.check_room(count, lists * size_of::<i32>())?;
        let mut rest = self.values(page);
        let mut sums = 0_u64;
        for _ in 0..lists {
            let list = rest.and_then(|rest| Lengths::read(rest, count)).ok_or_else(broken)?;
            sums = sums.saturating_add(list.sum);
            rest = Some(list.rest);
        }
        // The first list are the lengths of what values share with the ones before them, the second
        // those of the rest.
        match self.is_repeated && encoding == Encoding::DELTA_BYTE_ARRAY {
            true => self.check_bytes(sums),
            false => Ok(()),
        }
    }

    /// Checks that memory for `count` things of `len` bytes is within the limit, and that the
    /// system has it.
    fn check_room(&self, count: u32, len: usize) -> Result<(), ParquetError> {
        self.check_bytes(u64::from(count).saturating_mul(len as u64))
    }

    fn check_bytes(&self, bytes: u64) -> Result<(), ParquetError> {
        let max = self.max_len;
        if bytes > max {
            return Err(ParquetError::General(format!(
                "the values of a page take {bytes} bytes: the highest is {max}, which --max-value raises"
            )));
        }
        reserved(usize::try_from(bytes)?).map(drop)
    }

    /// The values of a data page, behind its levels.
    fn values<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        let levels_len = match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len)
            }
            // The length of the levels is before them, its lowest byte first.
            _ if self.has_levels => {
                let [a, b, c, d] = *page.buffer().first_chunk()?;
                4 + u64::from(u32::from_be_bytes([d, c, b, a]))
            }
            _ => 0,
        };
        page.buffer().get(usize::try_from(levels_len).ok()?..)
    }
}

fn broken() -> ParquetError {
    ParquetError::General("the lengths of a page's values make no sense".to_owned())
}

/// A list of lengths: numbers in the encoding `DELTA_BINARY_PACKED`.
///
/// ```text
/// varint  numbers in a block
/// varint  parts of a block
/// varint  count of numbers
/// varint  the first number
/// blocks  varint, u8 number of bits for each part, the bits of each part
/// ```
#[derive(Debug, PartialEq, Eq)]
struct Lengths<'a> {
    count: u64,
    /// The sum of those that are not negative.
    sum: u64,
    /// The bytes behind the list.
    rest: &'a [u8],
}

impl<'a> Lengths<'a> {
    /// Passes over a list of at most `max_count` numbers. `None` if there is none. O(count and
    /// bytes of the list).
    fn read(mut rest: &'a [u8], max_count: u32) -> Option<Self> {
        let block = read_varint(&mut rest)?;
        let parts = read_varint(&mut rest)?;
        let count = read_varint(&mut rest)?;
        let mut number = zigzag(read_varint(&mut rest)?);
        let of_part = block.checked_div(parts).filter(|numbers| *numbers > 0)?;
        if count > u64::from(max_count) {
            return None;
        }
        let mut sum = if count > 0 { number.max(0).cast_unsigned() } else { 0 };
        let mut left = count.saturating_sub(1);
        while left > 0 {
            let least = zigzag(read_varint(&mut rest)?);
            let (widths, behind) = rest.split_at_checked(usize::try_from(parts).ok()?)?;
            rest = behind;
            // Parts without numbers are left out at the end of the list.
            for &width in widths {
                if left == 0 {
                    break;
                }
                let len = u64::from(width).checked_mul(of_part)?.div_ceil(8);
                let (part, behind) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                rest = behind;
                for index in 0..of_part.min(left) {
                    let more = bits(part, index * u64::from(width), width)?;
                    number = number.wrapping_add(least).wrapping_add(more.cast_signed());
                    sum = sum.saturating_add(number.max(0).cast_unsigned());
                }
                left = left.saturating_sub(of_part);
            }
        }
        Some(Self { count, sum, rest })
    }
}

/// The number of `width` bits from bit `at` on; the lowest bit is first. `None` if there are not as
/// many, or if the number has more than 64.
fn bits(bytes: &[u8], at: u64, width: u8) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let (start, shift) = (usize::try_from(at / 8).ok()?, at % 8);
    let end = usize::try_from((at + u64::from(width)).div_ceil(8)).ok()?;
    let window = bytes.get(start..end).filter(|_| width <= 64)?;
    let number = window.iter().rev().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let mask = u128::MAX >> (128 - u32::from(width));
    u64::try_from(number >> shift & mask).ok()
}

const fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lengths_are_passed_over() {
        // 128 numbers in a block of 4 parts: the first number, 4 more in the first part of 32. They
        // are 7, and 7 more each time, and what the part adds.
        let list = [
            128,
            1,
            4,
            5,
            14,
            14,
            3,
            0,
            0,
            0,
            0b10_001_000,
            0b11,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            b'x',
        ];
        let read = |list| Lengths::read(list, 5);
        // 7, 14, 22, 35 and 43.
        let sum = 121;
        assert_eq!(read(&list), Some(Lengths { count: 5, sum, rest: b"x" }));
        assert_eq!(Lengths::read(&list, 4), None, "more numbers than values");
        // A million equal numbers take no bits; all numbers of a list may be in one block.
        let million = |list| Lengths::read(list, 1_000_000);
        let equal = [128, 1, 4, 0xc0, 0x84, 0x3d, 0];
        assert_eq!(million(&equal), None, "its blocks are missing");
        let one_block = [0x80, 0x89, 0x7a, 1, 0xc0, 0x84, 0x3d, 6, 0, 0];
        let expected = Lengths { count: 1_000_000, sum: 3_000_000, rest: b"" };
        assert_eq!(million(&one_block), Some(expected));
        for end in 0..list.len() - 1 {
            assert_eq!(read(&list[..end]), None, "{end}");
        }
        assert_eq!(read(&[0, 4, 5, 14, 0, 0, 0, 0, 0]), None, "an empty block");
        assert_eq!(read(&[128, 1, 0, 5, 14, 0, 0, 0, 0]), None, "no parts");
        assert_eq!(bits(&[0xff, 0x01], 4, 8), Some(0x1f));
        assert_eq!(bits(&[0xff; 9], 3, 64), Some(u64::MAX));
        assert_eq!((bits(&[0xff], 1, 8), bits(&[0xff; 20], 0, 65)), (None, None));
    }

    fn page(encoding: Encoding, num_values: u32, buf: Vec<u8>) -> Page {
        Page::DataPage {
            buf: buf.into(),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    #[test]
    fn no_page_states_more_than_it_has() {
        let limits =
            PageLimits { max_len: 1000, value_len: 32, has_levels: true, is_repeated: false };
        let dictionary = |num_values| Page::DictionaryPage {
            buf: Bytes::new(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        assert!(limits.check(&dictionary(31)).is_ok());
        assert!(limits.check(&dictionary(32)).is_err());
        // Two bytes of levels, and lists of 5 lengths without bits.
        let levels = [2, 0, 0, 0, 9, 9];
        let list = [128, 1, 4, 5, 0, 0, 0, 0, 0, 0];
        let one = [&levels[..], &list].concat();
        let two = [&one[..], &list].concat();
        for (encoding, buf) in
            [(Encoding::DELTA_LENGTH_BYTE_ARRAY, &one), (Encoding::DELTA_BYTE_ARRAY, &two)]
        {
            assert!(limits.check(&page(encoding, 5, buf.clone())).is_ok(), "{encoding}");
            assert!(limits.check(&page(encoding, 4, buf.clone())).is_err(), "{encoding}");
            assert!(limits.check(&page(encoding, 300, buf.clone())).is_err(), "{encoding}");
            let cut = buf[..buf.len() - 1].to_vec();
            assert!(limits.check(&page(encoding, 5, cut)).is_err(), "{encoding}");
        }
        // Lists of values that are put together take no more than a page may.
        let long = [&levels[..], &[128, 1, 4, 5, 20, 0, 0, 0, 0, 0], &list].concat();
        let long = page(Encoding::DELTA_BYTE_ARRAY, 5, long);
        let check = |max_len, is_repeated| {
            PageLimits { max_len, is_repeated, ..limits }.check(&long).is_ok()
        };
        assert!(check(50, true) && check(49, false) && !check(49, true));
        assert!(limits.check(&page(Encoding::PLAIN, u32::MAX, Vec::new())).is_ok());
        let required = PageLimits { has_levels: false, ..limits };
        let lengths = page(Encoding::DELTA_LENGTH_BYTE_ARRAY, 5, list.to_vec());
        assert!(required.check(&lengths).is_ok() && limits.check(&lengths).is_err());
    }
}
