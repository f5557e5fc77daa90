//! One table of our store.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sst_amqf::QuotientFilter;
use sst_format::SstMeta;
use sst_format::limits::MAX_BLOCK_COUNT;
use sst_reader::{BlockCache, Lookup, ReadValue, ReaderOptions, StaticSortedFile};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriterOptions};

use super::name_of;
use crate::side_by_side::side_by_side;
use crate::store::{BenchError, Contender, OpenStore, Session, Store, Writers};
use crate::workload::{Data, Row};

/// Our store, for data that fits into one file.
pub struct SstTable {
    compression: Compression,
    /// The metadata of the table in each directory. In a commit, the meta file holds it.
    metas: Mutex<HashMap<PathBuf, SstMeta>>,
}

impl SstTable {
    /// Tables whose blocks use this compression.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self { compression, metas: Mutex::default() }
    }
}

/// Returns whether the entries fit into one file, which has at most 65,535 blocks. The number of
/// blocks is estimated, and the estimate is too high rather than too low.
#[must_use]
pub fn fits_one_table(data: &Data) -> bool {
    data.byte_len() / (8 << 10) + data.entries() / 400 < usize::from(MAX_BLOCK_COUNT) * 9 / 10
}

/// Options of our writer: a filter with a false-positive rate of 1 %.
#[must_use]
pub fn writer_options(compression: Compression) -> WriterOptions {
    WriterOptions::default().filter(QuotientFilter::default()).compression(compression)
}

/// Options of our reader: a memory map, the filter, and a cache of `cache` bytes.
#[must_use]
pub fn reader_options(cache: u64) -> ReaderOptions {
    reader_options_with(Arc::new(BlockCache::new(cache)))
}

fn reader_options_with(cache: Arc<BlockCache>) -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default()).cache(cache)
}

impl Contender for SstTable {
    fn name(&self) -> &'static str {
        name_of(self.compression)
    }

    fn setup(&self) -> &'static str {
        match self.compression {
            Compression::None => {
                "one file, values stored raw; filter of 1 %; memory map; checksums on"
            }
            _ => "one file, LZ4; filter of 1 %; memory map and block cache; checksums on",
        }
    }

    fn supports(&self, data: &Data) -> bool {
        fits_one_table(data)
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let path = dir.join("table.sst");
        let meta = write_file(&path, writer_options(self.compression), data.iter())?;
        // In a commit, the filter is part of the meta file. The file is written so that its bytes
        // count too.
        std::fs::write(dir.join("table.filter"), meta.filter.as_slice())?;
        self.metas.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned(), meta);
        Ok(())
    }

    fn has_two_writers(&self) -> bool {
        true
    }

    fn time_writers(
        &self,
        data: &Data,
        dir: &Path,
        writers: Writers,
    ) -> Result<Duration, BenchError> {
        let options = || writer_options(self.compression);
        let half = data.entries() / 2;
        // One thread and two threads read the rows in the same way, by index, because only an index
        // can start in the middle.
        let rows = |rows: Range<usize>| rows.map(|i| data.row(i));
        let write = |name: &str, range: Range<usize>| {
            write_file(&dir.join(name), options(), rows(range)).map(drop)
        };
        let (_, wall) = match writers {
            Writers::Alone => side_by_side(&[&|| write("one.sst", 0..data.entries())]),
            Writers::TwoFiles => side_by_side(&[&|| write("first.sst", 0..half), &|| {
                write("second.sst", half..data.entries())
            }]),
        }?;
        Ok(wall)
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        let metas = self.metas.lock().unwrap_or_else(PoisonError::into_inner);
        let meta = metas.get(dir).ok_or("not built")?;
        let cache = Arc::new(BlockCache::new(cache));
        let options = reader_options_with(Arc::clone(&cache));
        let table = StaticSortedFile::open(dir.join("table.sst"), meta, &options)?;
        Ok(Box::new(OpenTable { table, cache }))
    }
}

/// Writes rows, which are in the order of their hashes, to a new file.
fn write_file<'d>(
    path: &Path,
    options: WriterOptions,
    mut rows: impl Iterator<Item = Row<'d>>,
) -> Result<SstMeta, BenchError> {
    let mut writer = StreamingSstWriter::new(File::create(path)?, options);
    rows.try_for_each(|row| writer.add(row))?;
    Ok(writer.finish()?.meta)
}

/// A table, and a cache that no other table uses.
struct OpenTable {
    table: StaticSortedFile,
    cache: Arc<BlockCache>,
}

impl OpenStore for OpenTable {
    type Session<'a> = &'a StaticSortedFile;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(&self.table)
    }

    fn blocks_loaded(&self) -> Option<u64> {
        Some(self.cache.statistics().blocks_loaded)
    }
}

impl OpenStore for StaticSortedFile {
    type Session<'a> = &'a StaticSortedFile;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(self)
    }
}

impl Session for &StaticSortedFile {
    #[inline]
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Lookup::Value(value) = StaticSortedFile::get(self, key)? {
            visit(&value);
        }
        Ok(())
    }

    fn find_many(
        &mut self,
        keys: &[&[u8]],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BenchError> {
        for answer in StaticSortedFile::multi_get(self, keys) {
            if let Lookup::Value(value) = answer? {
                visit(&value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        let mut cursor = self.cursor();
        while let Some(entry) = cursor.next()? {
            let key = entry.key;
            if let ReadValue::Value(value) = entry.into_value()? {
                visit(key, value);
            }
        }
        Ok(true)
    }
}
