//! RocksDB, set up for point lookups. Its file is written by `SstFileWriter` and ingested.
//!
//! RocksDB's PlainTable format cannot take part: ingestion asks the iterator of the file for the
//! last key, and the iterator of PlainTable aborts the process then.

use std::path::Path;

use ::rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, IngestExternalFileOptions,
    IteratorMode, Options, ReadOptions, SstFileWriter,
};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::{Data, Row};

/// Blocks with a hash index, LZ4, a Bloom filter and a cache.
pub struct RocksDb;

/// Name of the file that `SstFileWriter` writes.
const FILE: &str = "built.sst";

fn options(cache: u64) -> Result<Options, BenchError> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(usize::try_from(cache)?));
    table.set_bloom_filter(10.0, false);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_data_block_hash_ratio(0.75);
    table.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    // Files stay as they were ingested until `merge_tables` compacts them.
    options.set_disable_auto_compactions(true);
    Ok(options)
}

impl Contender for RocksDb {
    fn name(&self) -> &'static str {
        "RocksDB LZ4"
    }

    fn setup(&self) -> &'static str {
        if option_env!("ROCKSDB_LIB_DIR").is_some() {
            "the installed RocksDB, perhaps with assertions on; SstFileWriter, then ingested; blocks of 4 KiB with hash index, LZ4, bloom filter of 10 bits, LRU cache"
        } else {
            "RocksDB 8.1; SstFileWriter, then ingested; blocks of 4 KiB with hash index, LZ4, bloom filter of 10 bits, LRU cache"
        }
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let options = options(8 << 20)?;
        let mut writer = SstFileWriter::create(&options);
        writer.open(dir.join(FILE))?;
        for row in data.iter_by_key() {
            writer.put(row.key, row.value)?;
        }
        writer.finish()?;
        Ok(())
    }

    fn publish(&self, _: &Data, dir: &Path) -> Result<(), BenchError> {
        let db = DB::open(&options(8 << 20)?, dir.join("db"))?;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        db.ingest_external_file_opts(&ingest, vec![dir.join(FILE)])?;
        Ok(())
    }

    fn build_tables(&self, tables: &[Vec<Row<'_>>], dir: &Path) -> Result<bool, BenchError> {
        let options = options(8 << 20)?;
        let db = DB::open(&options, dir.join("db"))?;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        for rows in tables {
            let mut writer = SstFileWriter::create(&options);
            writer.open(dir.join(FILE))?;
            for row in rows {
                writer.put(row.key, row.value)?;
            }
            writer.finish()?;
            // Files are ingested one by one, so that a file that overlaps an earlier file is placed
            // above it.
            db.ingest_external_file_opts(&ingest, vec![dir.join(FILE)])?;
        }
        Ok(true)
    }

    fn merge_tables(&self, dir: &Path) -> Result<bool, BenchError> {
        let db = DB::open(&options(8 << 20)?, dir.join("db"))?;
        db.compact_range::<&[u8], &[u8]>(None, None);
        Ok(true)
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        let options = options(cache)?;
        // The column family is named, so that `DB` keeps a handle to it.
        let db = DB::open_cf_with_opts(&options, dir.join("db"), [("default", options.clone())])?;
        Ok(Box::new(Open(db)))
    }
}

struct Open(DB);

/// A thread's session: the store, and the options of the lookups.
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
        if let Some(value) = self.open.0.get_pinned_opt(key, &self.options)? {
            visit(&value);
        }
        Ok(())
    }

    fn find_many(
        &mut self,
        keys: &[&[u8]],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BenchError> {
        let family = self.open.0.cf_handle("default").ok_or("no default column family")?;
        for value in self.open.0.batched_multi_get_cf_opt(family, keys, false, &self.options) {
            if let Some(value) = value? {
                visit(&value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for entry in self.open.0.iterator(IteratorMode::Start) {
            let (key, value) = entry?;
            visit(&key, &value);
        }
        Ok(true)
    }
}
