//! The blocks of a table in file order, for the pictures of `sst inspect --html`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sst_format::block::Encoding;
use sst_reader::{BlockInfo, TableInfo};

use super::report::kind;

/// Highest number of cells of a strip. A table has up to 65,536 blocks, more than a screen has
/// columns.
const MAX_CELLS: usize = 600;

/// The blocks of one table. Neighbours share a cell if there are many.
#[derive(Debug, Serialize)]
pub(super) struct Strip {
    file: String,
    blocks: usize,
    /// The kinds of blocks. A cell has the number of one of them.
    kinds: Vec<String>,
    cells: Vec<Cell>,
}

/// Blocks that follow each other: the first and the last of them, the first one's position in the
/// file, their stored and their uncompressed lengths in bytes, whether one is compressed, and the
/// kind that takes most of the bytes.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Cell(u16, u16, u32, u64, u64, bool, usize);

impl Strip {
    pub(super) fn of(path: &Path, info: &TableInfo) -> Self {
        let per_cell = info.blocks.len().div_ceil(MAX_CELLS).max(1);
        let mut numbers = BTreeMap::new();
        let mut number = |block: &BlockInfo| {
            let next = numbers.len();
            *numbers.entry(kind(block)).or_insert(next)
        };
        let cells = info.blocks.chunks(per_cell).filter_map(|blocks| Cell::of(blocks, &mut number));
        let cells = cells.collect();
        let mut kinds: Vec<_> = numbers.into_iter().collect();
        kinds.sort_unstable_by_key(|(_, number)| *number);
        Self {
            file: path.file_name().unwrap_or(path.as_os_str()).display().to_string(),
            blocks: info.blocks.len(),
            kinds: kinds.into_iter().map(|(kind, _)| kind).collect(),
            cells,
        }
    }
}

impl Cell {
    /// `None` without blocks.
    fn of(blocks: &[BlockInfo], number: &mut impl FnMut(&BlockInfo) -> usize) -> Option<Self> {
        let (first, last) = (blocks.first()?, blocks.last()?);
        let mut bytes: BTreeMap<usize, u64> = BTreeMap::new();
        for block in blocks {
            *bytes.entry(number(block)).or_default() += block.stored_len;
        }
        let (most, _) = bytes.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        Some(Self(
            first.index.0,
            last.index.0,
            first.start,
            blocks.iter().map(|block| block.stored_len).sum(),
            blocks.iter().map(|block| block.payload_len).sum(),
            blocks.iter().any(|block| block.header.encoding != Encoding::Raw),
            most,
        ))
    }
}
