//! Splits tables into parts, builds tables from parts with correct checksums, and reads them.

use lz4_flex::block::{compress, decompress};
use sst_format::SstMeta;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::limits::MAX_LZ4_RATIO;
use sst_format::offset_table::encode_offset_table;
use sst_reader::{ReadError, ReaderOptions, StaticSortedFile, VerifyReport};

use super::table::blocks_of;
use crate::Verdict;
use crate::allocations::{read_limit, within};

/// The parts of a table.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The blocks, the index block last.
    pub blocks: Vec<Part>,
    /// False ends of blocks for the offset table: index of the block, and its false end.
    pub false_ends: Vec<(usize, u32)>,
}

/// A block before it is compressed and stored.
#[derive(Clone, Debug)]
pub struct Part {
    /// The uncompressed payload.
    pub payload: Vec<u8>,
    /// Whether the block is stored compressed.
    pub is_compressed: bool,
    /// A false size for the header; `None` for the true size.
    pub false_size: Option<u32>,
}

impl Part {
    /// A block that is stored raw.
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
    /// A table with these blocks.
    pub fn new(blocks: impl Into<Vec<Part>>) -> Self {
        Self { blocks: blocks.into(), false_ends: Vec::new() }
    }

    /// Splits a table into its parts.
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

    /// Builds the table.
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

/// The outcome of all reads of a table.
#[derive(Debug, Default)]
pub struct ReadOutcome {
    /// The first error of a lookup or iteration, or the error of opening the table.
    pub error: Option<ReadError>,
    /// The report of verification; `None` if the table could not be opened.
    pub report: Option<VerifyReport>,
    /// Whether iteration returned more entries than the bytes can hold.
    pub is_endless: bool,
}

impl ReadOutcome {
    /// Whether opening or verification found damage.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.report.as_ref().is_none_or(|report| !report.is_intact())
    }

    /// Checks that every error is corruption and that iteration ended. The runner checks for panics
    /// and memory.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let damage = self.report.iter().flat_map(|report| &report.damage);
        let other = self
            .error
            .iter()
            .chain(damage)
            .find(|error| !error.is_corruption() && !error.is_unknown_version());
        match other {
            _ if self.is_endless => Verdict::Wrong("a walk without end".to_owned()),
            Some(error) => {
                Verdict::Wrong(format!("a lie passes for trouble of the system: {error}"))
            }
            None if self.is_damaged() => Verdict::Detected,
            None => Verdict::Harmless,
        }
    }
}

/// Opens a table and runs every kind of read on it, within its memory limit.
pub fn read_all(
    bytes: Vec<u8>,
    meta: Option<&SstMeta>,
    keys: &[(u64, Vec<u8>)],
    options: &ReaderOptions,
) -> ReadOutcome {
    let len = bytes.len() as u64;
    within(read_limit(len), || {
        let table = match StaticSortedFile::from_bytes("hostile", bytes, meta, options) {
            Ok(table) => table,
            Err(error) => return ReadOutcome { error: Some(error), ..ReadOutcome::default() },
        };
        let mut outcome = ReadOutcome::default();
        outcome.error = outcome.read_table(&table, keys, len * MAX_LZ4_RATIO).err();
        outcome.report = table.verify(&sst_reader::Monitor::default()).ok();
        outcome
    })
}

impl ReadOutcome {
    /// Runs every kind of read on a table. Returns the first error after trying all.
    fn read_table(
        &mut self,
        table: &StaticSortedFile,
        keys: &[(u64, Vec<u8>)],
        most_entries: u64,
    ) -> Result<(), ReadError> {
        let mut results = Vec::new();
        for (hash, key) in keys {
            results.push(table.lookup(*hash, key).map(drop));
            results.push(
                table.lookup_all(*hash, key).and_then(|mut all| all.try_for_each(|e| e.map(drop))),
            );
        }
        results.push(self.walk(table, most_entries));
        let middle = keys.first().map_or(0, |(hash, _)| *hash);
        let from = table.range(middle..=u64::MAX);
        results.push(from.and_then(|mut cursor| cursor.next().map(drop)));
        results.push(table.inspect().map(drop));
        results.push(table.blobs().map(drop));
        results.into_iter().collect()
    }

    fn walk(&mut self, table: &StaticSortedFile, most_entries: u64) -> Result<(), ReadError> {
        let (mut cursor, mut count, mut buffer) = (table.cursor(), 0, Vec::new());
        while let Some(entry) = cursor.next()? {
            count += 1;
            if count > most_entries {
                self.is_endless = true;
                return Ok(());
            }
            // Iteration continues after an entry whose value cannot be read.
            _ = entry.stored_medium(&mut buffer);
            _ = entry.into_value();
        }
        Ok(())
    }
}
