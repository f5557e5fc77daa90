//! Checks the metadata of a file before the decoder builds it in memory.
//!
//! The decoder of the `parquet` crate takes memory for as many things as a list or a group states,
//! whether they are there or not, and goes down the schema by recursion. So the metadata is passed
//! over first: every list has its elements, groups are not too deep within each other, and the
//! system has the memory that the decoder will take. The metadata is a `FileMetaData` in Thrift's
//! compact protocol, before the last eight bytes of the file:
//!
//! ```text
//! field  type    name
//!     2  list    schema: of SchemaElement, whose field 4 is name and 5 num_children: i32
//!     4  list    row_groups: of RowGroup, whose field 1 is the list columns
//! ```

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use parquet::errors::ParquetError;

use super::page_headers::Thrift;
use super::page_memory::reserved;
use super::parquet_fault::ParquetFault;

/// Highest number of groups within each other.
const MAX_DEPTH: usize = 500;
/// Length of what is behind the metadata: its length, and the magic bytes.
const END_LEN: usize = 8;
/// What the decoder takes for an element of the schema, for a step of the path to a leaf, and for a
/// column or row group, in bytes; more than it does today.
const ELEMENT_LEN: u64 = 512;
const STEP_LEN: u64 = 64;
const COLUMN_LEN: u64 = 2048;
/// Memory that the metadata of a short file may take, in bytes, and for each byte of a longer one.
/// A column takes at least some 60 bytes of it in a file, so this is far more than is needed.
const MAX_LEN: u64 = 64 << 20;
const MAX_LEN_PER_BYTE: u64 = 400;

/// Checks the metadata. Parts that cannot be found are left to the decoder, whose error says why.
pub(super) fn check(file: &File) -> Result<(), ParquetFault> {
    let Some((start, len)) = place(file).map_err(|error| ParquetFault::Outline(error.into()))?
    else {
        return Ok(());
    };
    let mut source = file.try_clone().map_err(|error| ParquetFault::Outline(error.into()))?;
    source.seek(SeekFrom::Start(start)).map_err(|error| ParquetFault::Outline(error.into()))?;
    check_metadata(BufReader::new(source).take(len), len)
}

/// Where the metadata is, and its length.
fn place(mut file: &File) -> std::io::Result<Option<(u64, u64)>> {
    let Some(end) = file.metadata()?.len().checked_sub(END_LEN as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(end))?;
    let mut last = [0; END_LEN];
    file.read_exact(&mut last)?;
    file.rewind()?;
    let [a, b, c, d, ..] = last;
    // The lowest byte is first.
    let len = u64::from(u32::from_be_bytes([d, c, b, a]));
    Ok(end.checked_sub(len).map(|start| (start, len)))
}

fn check_metadata(source: impl Read, len: u64) -> Result<(), ParquetFault> {
    let (mut thrift, mut shape) = (Thrift { source }, Shape::default());
    let passed = thrift.fields(&mut |thrift, id, kind| match (id, kind) {
        (2, 9) => shape.read_schema(thrift),
        (4, 9) => shape.read_row_groups(thrift),
        _ => thrift.skip(kind, 0),
    });
    if shape.is_too_deep {
        return Err(ParquetFault::SchemaDepth { max: MAX_DEPTH });
    }
    passed.map_err(ParquetFault::Outline)?;
    if shape.memory > MAX_LEN.saturating_add(len.saturating_mul(MAX_LEN_PER_BYTE)) {
        return Err(ParquetFault::Outline(ParquetError::General(
            "the paths of its columns take too much memory".to_owned(),
        )));
    }
    let memory = usize::try_from(shape.memory).map_err(|e| ParquetFault::Outline(e.into()))?;
    reserved(memory).map(drop).map_err(ParquetFault::Outline)
}

/// The counts in the metadata, as far as it was read.
#[derive(Default)]
struct Shape {
    is_too_deep: bool,
    /// The highest number of bytes that the decoder allocates.
    memory: u64,
    /// Number of leaves of the schema.
    leaves: u64,
}

/// A group of the schema that has not ended.
struct Group {
    /// Children that are to come.
    missing: u64,
    /// Bytes that the path to the group takes.
    path_len: u64,
}

impl Shape {
    fn read_schema<R: Read>(&mut self, thrift: &mut Thrift<R>) -> Result<(), ParquetError> {
        let count = thrift.list_of_structs()?;
        let mut open: Vec<Group> = Vec::new();
        for number in 0..count {
            let (mut name_len, mut children) = (0, 0);
            thrift.fields(&mut |thrift, id, kind| match (id, kind) {
                (4, 8) => thrift.skip_text().map(|len| name_len = len),
                (5, 5) => thrift.integer().map(|number| children = number),
                _ => thrift.skip(kind, 1),
            })?;
            let children = u64::try_from(children)?;
            if children > count - number {
                return Err(wrong("a group of the schema states more children than there are"));
            }
            while open.last().is_some_and(|group| group.missing == 0) {
                open.pop();
            }
            let parent_len = match open.last_mut() {
                Some(parent) => {
                    parent.missing -= 1;
                    parent.path_len
                }
                None if number == 0 => 0,
                None => return Err(wrong("the schema goes on behind its end")),
            };
            let path_len = parent_len + STEP_LEN + name_len;
            self.memory = self.memory.saturating_add(ELEMENT_LEN + 2 * name_len);
            if children > 0 {
                open.push(Group { missing: children, path_len });
                self.is_too_deep = open.len() > MAX_DEPTH;
                if self.is_too_deep {
                    return Err(wrong("groups within each other"));
                }
            } else {
                self.leaves += 1;
                self.memory = self.memory.saturating_add(path_len);
            }
        }
        Ok(())
    }

    fn read_row_groups<R: Read>(&mut self, thrift: &mut Thrift<R>) -> Result<(), ParquetError> {
        let count = thrift.list_of_structs()?;
        // The decoder makes room for a column of each leaf, before it counts them.
        let mut columns = count.saturating_add(self.leaves);
        for _ in 0..count {
            thrift.fields(&mut |thrift, id, kind| match (id, kind) {
                (1, 9) => {
                    let of_group = thrift.list_of_structs()?;
                    columns = columns.saturating_add(of_group);
                    (0..of_group).try_for_each(|_| thrift.skip(12, 3))
                }
                _ => thrift.skip(kind, 2),
            })?;
        }
        self.memory = self.memory.saturating_add(columns.saturating_mul(COLUMN_LEN));
        Ok(())
    }
}

fn wrong(text: &str) -> ParquetError {
    ParquetError::General(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of a schema: a name of two bytes, and the number of children.
    fn element(children: u32) -> Vec<u8> {
        let mut bytes = vec![0x48, 2, b'a', b'b', 0x15];
        let mut number = children << 1;
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.extend([u8::try_from(number).unwrap(), 0]);
        bytes
    }

    /// Metadata with this schema, whose list states `count` elements.
    fn metadata(count: usize, elements: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let count = u32::try_from(count).unwrap();
        bytes.extend([0x80 | u8::try_from(count & 0x7f).unwrap()]);
        bytes.extend([0x80 | u8::try_from(count >> 7 & 0x7f).unwrap()]);
        bytes.extend([u8::try_from(count >> 14).unwrap()]);
        elements.iter().for_each(|children| bytes.extend(element(*children)));
        bytes.push(0);
        bytes
    }

    fn check(bytes: &[u8]) -> Result<(), ParquetFault> {
        check_metadata(bytes, bytes.len() as u64)
    }

    #[test]
    fn a_schema_is_what_it_states() {
        assert!(check(&metadata(4, &[2, 0, 1, 0])).is_ok());
        // More elements, or children, than there are; behind the end; a negative number.
        for (count, elements) in [
            (5, &[2, 0, 1, 0][..]),
            (60_000, &[2, 0, 1, 0]),
            (4, &[2, 0, 1 << 29, 0]),
            (4, &[1, 0, 0, 0]),
            (1, &[u32::MAX >> 1]),
        ] {
            assert!(check(&metadata(count, elements)).is_err(), "{elements:?}");
        }
        for end in 0..metadata(4, &[2, 0, 1, 0]).len() {
            assert!(check(&metadata(4, &[2, 0, 1, 0])[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn groups_within_each_other_have_a_highest_depth() {
        let deep = |depth: usize| metadata(depth + 1, &[&vec![1; depth][..], &[0]].concat());
        assert!(check(&deep(MAX_DEPTH)).is_ok());
        let too_deep = check(&deep(MAX_DEPTH + 1));
        assert!(matches!(too_deep, Err(ParquetFault::SchemaDepth { .. })), "{too_deep:?}");
        // Leaves at the end of long paths.
        let wide = |leaves: u32| {
            let groups = [&vec![1; MAX_DEPTH - 1][..], &[leaves]].concat();
            let leaves = vec![0; leaves as usize];
            metadata(groups.len() + leaves.len(), &[groups, leaves].concat())
        };
        assert!(check(&wide(100)).is_ok());
        assert!(check(&wide(100_000)).is_err());
    }

    #[test]
    fn row_groups_have_the_columns_that_they_state() {
        // A list of two row groups, each with a list of one column of no fields.
        let groups = [0x49, 0x2c, 0x19, 0x1c, 0, 0, 0x19, 0x1c, 0, 0, 0];
        assert!(check(&groups).is_ok());
        let many = [0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x19, 0x1c, 0, 0, 0];
        assert!(check(&many).is_err());
    }
}
