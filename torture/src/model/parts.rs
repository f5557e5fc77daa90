//! Tables taken apart and put together again with the right checksums, and the questions they are asked.

use std::cell::Cell;

use lz4_flex::block::{compress, decompress};
use sst_format::SstMeta;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::limits::MAX_LZ4_RATIO;
use sst_format::offset_table::encode_offset_table;
use sst_reader::{ReadError, ReaderOptions, StaticSortedFile, VerifyReport};

use super::table::blocks_of;
use super::{reader_options, without_panic};
use crate::allocations::{peak_of, read_limit};

/// The parts of a table.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The blocks, the index block last.
    pub blocks: Vec<Part>,
    /// What the offset table states instead of the truth, for some blocks.
    pub false_ends: Vec<(usize, u32)>,
}

/// A block before it is stored.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it holds, not compressed.
    pub payload: Vec<u8>,
    /// Whether it is stored compressed.
    pub is_compressed: bool,
    /// What the header states instead of the truth.
    pub false_size: Option<u32>,
}

impl Part {
    /// A block that is stored as it is.
    pub fn raw(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), is_compressed: false, false_size: None }
    }

    /// A block that is stored compressed.
    pub fn lz4(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), is_compressed: true, false_size: None }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).unwrap();
        let (stored, size) = match self.is_compressed {
            true => (compress(&self.payload), len),
            false => (self.payload.clone(), 0),
        };
        let encoding = match self.false_size.unwrap_or(size) {
            0 => Encoding::Raw,
            uncompressed_len => Encoding::Lz4 { uncompressed_len },
        };
        let header = BlockHeader { encoding, checksum: crc32fast::hash(&stored) };
        [&header.to_bytes()[..], &stored].concat()
    }
}

impl Parts {
    /// A table of these blocks.
    pub fn new(blocks: impl Into<Vec<Part>>) -> Self {
        Self { blocks: blocks.into(), false_ends: Vec::new() }
    }

    /// Takes a table apart.
    pub fn of(file: &[u8]) -> Self {
        let parts = blocks_of(file).into_iter().map(|range| {
            let (header, stored) = BlockHeader::parse(&file[range]).unwrap();
            match header.encoding {
                Encoding::Raw => Part::raw(stored),
                Encoding::Lz4 { uncompressed_len } => {
                    Part::lz4(decompress(stored, uncompressed_len as usize).unwrap())
                }
            }
        });
        Self::new(parts.collect::<Vec<_>>())
    }

    /// Puts the table together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut file, mut ends) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            file.extend(block.to_bytes());
            ends.push(u32::try_from(file.len()).unwrap());
        }
        for &(block, end) in &self.false_ends {
            ends[block] = end;
        }
        encode_offset_table(ends, &mut file);
        file
    }
}

/// What came of asking a table everything.
pub struct Asked {
    /// The first error of a lookup or a walk; the one of opening, if that failed.
    pub error: Option<ReadError>,
    /// What verification says; `None` if the table could not be opened.
    pub report: Option<VerifyReport>,
}

impl Asked {
    /// Whether something is wrong with the table, by opening or by verification.
    pub fn is_damaged(&self) -> bool {
        self.report.as_ref().is_none_or(|report| !report.is_intact())
    }
}

/// Opens a table and asks it everything, and checks that this does not panic, ends, and takes no more memory than allowed.
pub fn ask(bytes: &[u8], meta: Option<&SstMeta>, keys: &[(u64, Vec<u8>)], what: &str) -> Asked {
    thread_local! {
        // Made once: what it takes is not the table's to answer for.
        static OPTIONS: Cell<Option<ReaderOptions>> = const { Cell::new(None) };
    }
    let options = OPTIONS.take().unwrap_or_else(reader_options);
    let (file, len) = (bytes.to_vec(), bytes.len() as u64);
    let most_entries = len * MAX_LZ4_RATIO;
    let (asked, peak) = peak_of(|| {
        without_panic(|| match StaticSortedFile::from_bytes("hostile", file, meta, &options) {
            Ok(table) => {
                let error = question(&table, keys, most_entries, what).err();
                Asked { error, report: Some(table.verify(&mut |_| {})) }
            }
            Err(error) => Asked { error: Some(error), report: None },
        })
    });
    OPTIONS.set(Some(options));
    let Some(asked) = asked else { panic!("{what}: panic") };
    let damage = asked.report.iter().flat_map(|report| &report.damage);
    for error in asked.error.iter().chain(damage) {
        assert!(error.is_corruption(), "{what}: {error}");
    }
    assert!(peak <= read_limit(len), "{what}: {peak} bytes for a table of {len}");
    asked
}

/// Every way to ask a table; returns the first error, after trying all.
fn question(
    table: &StaticSortedFile,
    keys: &[(u64, Vec<u8>)],
    most_entries: u64,
    what: &str,
) -> Result<(), ReadError> {
    let mut results = Vec::new();
    for (hash, key) in keys {
        results.push(table.lookup(*hash, key).map(drop));
        results.push(
            table.lookup_all(*hash, key).and_then(|mut all| all.try_for_each(|e| e.map(drop))),
        );
    }
    results.push(walk(table, most_entries, what));
    let middle = keys.first().map_or(0, |(hash, _)| *hash);
    results.push(table.range(middle..=u64::MAX).and_then(|mut cursor| cursor.advance()).map(drop));
    results.push(table.inspect().map(drop));
    results.push(table.blobs().map(drop));
    results.into_iter().collect()
}

fn walk(table: &StaticSortedFile, most_entries: u64, what: &str) -> Result<(), ReadError> {
    let (mut cursor, mut count, mut buffer) = (table.cursor(), 0, Vec::new());
    while cursor.advance()? {
        count += 1;
        assert!(count <= most_entries, "{what}: more than {most_entries} entries");
        // An entry whose value is out of reach is no reason to stop.
        _ = cursor.stored_medium(&mut buffer);
        _ = cursor.entry();
    }
    Ok(())
}
