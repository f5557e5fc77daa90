//! RocksDB: a file written by `SstFileWriter` and ingested, in the two table formats that suit point lookups.

use std::path::Path;

use ::rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, IngestExternalFileOptions, IteratorMode,
    Options, PlainTableFactoryOptions, ReadOptions, SliceTransform, SstFileWriter,
};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::Data;

/// Which table format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RocksDb {
    /// The usual one: blocks, LZ4, a cache.
    BlockBased,
    /// A hash index over entries in a memory map.
    PlainTable,
}

/// The file that is built.
const FILE: &str = "built.sst";

impl RocksDb {
    fn options(self, cache: u64) -> Result<Options, BenchError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        match self {
            Self::BlockBased => {
                let mut table = BlockBasedOptions::default();
                table.set_block_cache(&Cache::new_lru_cache(usize::try_from(cache)?));
                table.set_bloom_filter(10.0, false);
                table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
                table.set_data_block_hash_ratio(0.75);
                table.set_format_version(5);
                options.set_block_based_table_factory(&table);
                options.set_compression_type(DBCompressionType::Lz4);
            }
            Self::PlainTable => {
                options.set_plain_table_factory(&PlainTableFactoryOptions {
                    user_key_length: 0,
                    bloom_bits_per_key: 10,
                    hash_table_ratio: 0.75,
                    index_sparseness: 16,
                });
                // Every key is its own prefix, so the index is a hash table of keys.
                options.set_prefix_extractor(SliceTransform::create_noop());
                options.set_compression_type(DBCompressionType::None);
                options.set_allow_mmap_reads(true);
            }
        }
        Ok(options)
    }
}

impl Contender for RocksDb {
    fn name(&self) -> &'static str {
        match self {
            Self::BlockBased => "RocksDB LZ4",
            Self::PlainTable => "RocksDB plain",
        }
    }

    fn setup(&self) -> &'static str {
        match self {
            Self::BlockBased => {
                "SstFileWriter, then ingested; blocks of 4 KiB with hash index, LZ4, bloom filter of 10 bits, LRU cache"
            }
            Self::PlainTable => {
                "SstFileWriter, then ingested; PlainTable with whole-key hash index and bloom filter, memory map, no compression"
            }
        }
    }

    fn is_cached(&self) -> bool {
        *self == Self::BlockBased
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let options = self.options(8 << 20)?;
        let mut writer = SstFileWriter::create(&options);
        writer.open(dir.join(FILE))?;
        for row in data.iter_by_key() {
            writer.put(row.key, row.value)?;
        }
        writer.finish()?;
        Ok(())
    }

    fn publish(&self, _: &Data, dir: &Path) -> Result<(), BenchError> {
        let db = DB::open(&self.options(8 << 20)?, dir.join("db"))?;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        db.ingest_external_file_opts(&ingest, vec![dir.join(FILE)])?;
        Ok(())
    }

    fn open<'d>(&self, _: &'d Data, dir: &Path, cache: u64) -> Result<Box<dyn Store + 'd>, BenchError> {
        let db = DB::open(&self.options(cache)?, dir.join("db"))?;
        Ok(Box::new(Open { db, can_scan: *self == Self::BlockBased }))
    }
}

struct Open {
    db: DB,
    /// A plain table with a hash index has no total order.
    can_scan: bool,
}

/// The options of a thread's lookups.
struct Reading<'a> {
    open: &'a Open,
    options: ReadOptions,
}

impl OpenStore for Open {
    type Session<'a> = Reading<'a>;

    fn session(&self) -> Result<Reading<'_>, BenchError> {
        Ok(Reading { open: self, options: ReadOptions::default() })
    }
}

impl Session for Reading<'_> {
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.open.db.get_pinned_opt(key, &self.options)? {
            visit(&value);
        }
        Ok(())
    }

    fn find_many(&mut self, keys: &[&[u8]], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        let family = self.open.db.cf_handle("default").ok_or("no default column family")?;
        for value in self.open.db.batched_multi_get_cf_opt(family, keys, false, &self.options) {
            if let Some(value) = value? {
                visit(&value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        if self.open.can_scan {
            for entry in self.open.db.iterator(IteratorMode::Start) {
                let (key, value) = entry?;
                visit(&key, &value);
            }
        }
        Ok(self.open.can_scan)
    }
}
