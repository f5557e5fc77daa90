//! The floor of writing: the work on the bytes of a table, without the decisions about their
//! layout.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};
use sst_amqf::QuotientFilter;
use sst_format::BlockIndex;
use sst_format::block::{BLOCK_HEADER_LEN, compression_pays};
use sst_format::filter::FilterPolicy;
use sst_reader::{ReaderOptions, StaticSortedFile};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriterOptions};

use crate::store::BenchError;
use crate::workload::Data;

/// Output is written in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// The uncompressed payloads of all blocks of a table: the entries, divided into blocks of the
/// sizes that the format has.
pub struct TableBlocks {
    payloads: Vec<Vec<u8>>,
    stored: Vec<Stored>,
    hashes: Vec<u64>,
    buffers: Buffers,
}

/// A stored block: its bytes, and the uncompressed length if LZ4 pays.
type Stored = (Option<usize>, Vec<u8>);

/// Buffers that are reused from block to block.
struct Buffers {
    table: CompressTable,
    scratch: Vec<u8>,
    staging: Vec<u8>,
}

impl TableBlocks {
    /// Reads the blocks of a table that is written from `data`. The table is a temporary file in
    /// `dir`.
    ///
    /// # Errors
    ///
    /// The error of the writer or the reader.
    pub fn new(data: &Data, dir: &Path) -> Result<Self, BenchError> {
        let path = dir.join("blocks.sst");
        let options = WriterOptions::default().compression(Compression::None);
        let mut writer = StreamingSstWriter::new(File::create(&path)?, options);
        data.iter().try_for_each(|row| writer.add(row))?;
        let meta = writer.finish()?.meta;
        let table = StaticSortedFile::open(&path, &meta, &ReaderOptions::default())?;
        let payloads = (0..table.block_count())
            .map(|block| Ok(table.block(BlockIndex(block))?.to_vec()))
            .collect::<Result<Vec<_>, BenchError>>()?;
        std::fs::remove_file(path)?;
        let hashes = data.iter().map(|row| row.hash).collect();
        let buffers =
            Buffers { table: CompressTable::large(), scratch: Vec::new(), staging: Vec::new() };
        let mut blocks = Self { payloads, stored: Vec::new(), hashes, buffers };
        blocks.stored = blocks.compressed()?;
        Ok(blocks)
    }

    /// Returns the number of bytes of all payloads.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.payloads.iter().map(Vec::len).sum()
    }

    /// Returns the uncompressed length of all LZ4 blocks together. Only these blocks are held by a
    /// cache.
    #[must_use]
    pub fn compressible_len(&self) -> usize {
        self.stored.iter().filter_map(|(uncompressed, _)| *uncompressed).sum()
    }

    /// Returns the number of blocks that are stored with LZ4.
    #[must_use]
    pub fn compressible_count(&self) -> usize {
        self.stored.iter().filter(|(uncompressed, _)| uncompressed.is_some()).count()
    }

    fn compressed(&mut self) -> Result<Vec<Stored>, BenchError> {
        let table = &mut self.buffers.table;
        let compress = |payload: &Vec<u8>| {
            let mut out = vec![0; get_maximum_output_size(payload.len())];
            let len = compress_into_with_table(payload, &mut out, table)?;
            if compression_pays(payload.len(), len) {
                out.truncate(len);
                Ok((Some(payload.len()), out))
            } else {
                Ok((None, payload.clone()))
            }
        };
        self.payloads.iter().map(compress).collect()
    }

    /// Copies every payload.
    pub fn copy(&mut self) {
        for payload in &self.payloads {
            self.buffers.scratch.clear();
            self.buffers.scratch.extend_from_slice(payload);
            black_box(&self.buffers.scratch);
        }
    }

    /// Computes the CRC-32 of every payload.
    pub fn checksum(&self) {
        for payload in &self.payloads {
            black_box(crc32fast::hash(payload));
        }
    }

    /// Compresses every payload with LZ4.
    ///
    /// # Errors
    ///
    /// An error if a payload cannot be compressed: then there is no figure.
    pub fn compress(&mut self) -> Result<(), BenchError> {
        for payload in &self.payloads {
            self.buffers.scratch.resize(get_maximum_output_size(payload.len()), 0);
            black_box(compress_into_with_table(
                payload,
                &mut self.buffers.scratch,
                &mut self.buffers.table,
            )?);
        }
        Ok(())
    }

    /// Decompresses every block that is stored as LZ4.
    ///
    /// # Errors
    ///
    /// An error if a block cannot be decompressed: then there is no figure.
    pub fn decompress(&mut self) -> Result<(), BenchError> {
        for (uncompressed, stored) in &self.stored {
            if let Some(len) = *uncompressed {
                self.buffers.scratch.resize(len, 0);
                black_box(decompress_into(stored, &mut self.buffers.scratch)?);
            }
        }
        Ok(())
    }

    /// Writes as many bytes as the table has to a new file, in large pieces, without fsync.
    ///
    /// # Errors
    ///
    /// The error of the file system.
    pub fn write(&mut self, path: &Path) -> Result<(), BenchError> {
        let mut file = File::create(path)?;
        let len =
            self.stored.iter().map(|(_, stored)| stored.len() + BLOCK_HEADER_LEN).sum::<usize>();
        self.buffers.staging.clear();
        self.buffers.staging.resize(PIECE, 7);
        let mut left = len;
        while left > 0 {
            let (piece, _) = self.buffers.staging.split_at(left.min(PIECE));
            file.write_all(piece)?;
            left -= piece.len();
        }
        Ok(())
    }

    /// Does all work that writing these entries needs, and no more: copies all bytes into blocks
    /// once, compresses them with `compression` (every block is tried, as the format demands),
    /// computes the checksums, builds the filter, and writes the file without fsync.
    ///
    /// # Errors
    ///
    /// The error of the file system, or an error if a block cannot be compressed.
    pub fn write_all(&mut self, path: &Path, compression: Compression) -> Result<(), BenchError> {
        let mut file = File::create(path)?;
        let Buffers { table, scratch, staging } = &mut self.buffers;
        staging.clear();
        for payload in &self.payloads {
            let start = staging.len() + BLOCK_HEADER_LEN;
            let mut stored = None;
            if compression == Compression::Lz4 {
                scratch.clear();
                scratch.extend_from_slice(payload);
                staging.resize(start + get_maximum_output_size(payload.len()), 0);
                let (_, out) = staging.split_at_mut(start);
                let len = compress_into_with_table(scratch, out, table)?;
                stored = compression_pays(payload.len(), len).then_some(len);
                // Compressed bytes are dropped if compression doesn't pay.
                staging.truncate(start + stored.unwrap_or(0));
            } else {
                staging.resize(start, 0);
            }
            if stored.is_none() {
                staging.extend_from_slice(payload);
            }
            black_box(crc32fast::hash(staging.split_at(start).1));
            if staging.len() >= PIECE {
                file.write_all(staging)?;
                staging.clear();
            }
        }
        file.write_all(staging)?;
        let mut filter = QuotientFilter::default().builder();
        filter.add_hashes(&self.hashes);
        file.write_all(&filter.finish()?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[test]
    fn the_floor_writes_as_much_as_the_writer() {
        let data = Data::new(Workload { name: "t", entries: 2000, key_len: 16, value_len: 100 });
        let dir = tempfile::tempdir().unwrap();
        let mut blocks = TableBlocks::new(&data, dir.path()).unwrap();
        assert!(blocks.byte_len() > data.byte_len());
        for compression in [Compression::Lz4, Compression::None] {
            let options =
                WriterOptions::default().filter(QuotientFilter::default()).compression(compression);
            let mut writer = StreamingSstWriter::new(Vec::new(), options);
            data.iter().for_each(|row| writer.add(row).unwrap());
            let meta = writer.finish().unwrap().meta;
            let path = dir.path().join("floor");
            blocks.write_all(&path, compression).unwrap();
            let offsets = usize::from(meta.block_count) * 4;
            let expected =
                usize::try_from(meta.file_size).unwrap() - offsets + meta.filter.as_slice().len();
            assert_eq!(usize::try_from(path.metadata().unwrap().len()).unwrap(), expected);
        }
    }
}
