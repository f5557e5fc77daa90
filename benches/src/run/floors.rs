//! The figures of the floor of writing.

use std::hint::black_box;
use std::path::Path;

use sst_writer::table::hash_key;

use super::Floor;
use super::builds::FLOORS;
use super::even_start::warm_memory;
use crate::Figure;
use crate::floor::TableBlocks;
use crate::store::BenchError;
use crate::workload::Data;

/// Samples from all rounds, in nanoseconds per byte, per key, or per entry.
#[derive(Default)]
pub(super) struct WriteFloor {
    hash: Figure,
    copy: Figure,
    checksum: Figure,
    compress: Figure,
    decompress: Figure,
    write: Figure,
    build: [Figure; 2],
}

impl WriteFloor {
    /// Adds the samples of one round.
    pub(super) fn sample(
        &mut self,
        blocks: &mut TableBlocks,
        data: &Data,
        dir: &Path,
    ) -> Result<(), BenchError> {
        let bytes = blocks.byte_len();
        let path = dir.join("floor");
        self.hash.sample(data.entries(), || {
            data.keys().iter().for_each(|key| {
                black_box(hash_key(key));
            });
        });
        self.copy.sample(bytes, || blocks.copy());
        self.checksum.sample(bytes, || blocks.checksum());
        self.compress.sample(bytes, || blocks.compress())?;
        let compressible = blocks.compressible_len();
        if compressible > 0 {
            self.decompress.sample(compressible, || blocks.decompress())?;
        }
        warm_memory(dir, data.byte_len())?;
        self.write.sample(1, || blocks.write(&path))?;
        let written = std::fs::metadata(&path)?.len();
        self.write.scale_last(1.0 / float(written));
        std::fs::remove_file(&path)?;
        for (figure, compression) in self.build.iter_mut().zip(FLOORS) {
            warm_memory(dir, data.byte_len())?;
            figure.sample(data.entries(), || blocks.write_all(&path, compression))?;
            std::fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Computes the medians. `blocks` are the blocks that were measured, if any.
    pub(super) fn finish(&self, blocks: Option<&TableBlocks>) -> Floor {
        let rate = |figure: &Figure| figure.median().map(f64::recip);
        let [build, build_raw] = &self.build;
        Floor {
            read_ns: 0.0,
            hash_ns: self.hash.median(),
            copy_gb_s: rate(&self.copy),
            checksum_gb_s: rate(&self.checksum),
            compress_gb_s: rate(&self.compress),
            decompress_gb_s: rate(&self.decompress),
            decompress_block_ns: blocks.zip(self.decompress.median()).map(|(blocks, per_byte)| {
                let count = blocks.compressible_count().max(1);
                per_byte * float(blocks.compressible_len() as u64) / float(count as u64)
            }),
            write_gb_s: rate(&self.write),
            build_ns: build.median(),
            build_raw_ns: build_raw.median(),
            compressible_bytes: blocks.map(|blocks| blocks.compressible_len() as u64),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
fn float(count: u64) -> f64 {
    count as f64
}
