//! RocksDB's bulk load of the records that `cargo xtask bulk` generates. `cargo xtask bulk --peers
//! all compare` starts this program.
//!
//! The load follows RocksDB's guide: the options for bulk loading, no write-ahead log, no
//! compaction while entries are added, and one full compaction at the end. Afterwards a lookup
//! finds every entry in one level, as in our directory.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::PathBuf;

use clap::Parser;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, CompactOptions, DB, DBCompressionType, Options,
    WriteBatch, WriteOptions,
};
use sst_benches::bulk::{Cost, KEY_LEN, RECORD_LEN};
use sst_benches::store::BenchError;

/// Loads unsorted records into RocksDB, and prints the time and the memory of the load as JSON.
#[derive(Parser)]
struct Arguments {
    /// The file of records.
    #[arg(long)]
    input: PathBuf,
    /// Directory of the database.
    #[arg(long)]
    dir: PathBuf,
    /// Memory for entries that are not yet in files, in MiB.
    #[arg(long)]
    budget: usize,
    /// Number of threads that flush and compact.
    #[arg(long)]
    threads: i32,
}

/// Number of write buffers that share the budget.
const BUFFERS: usize = 4;

/// Number of records in one batch.
const BATCH: usize = 1000;

fn main() -> Result<(), BenchError> {
    let arguments = Arguments::parse();
    let cost = Cost::measure(|cost| {
        load(&arguments)?;
        for entry in std::fs::read_dir(&arguments.dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "sst") {
                cost.tables += 1;
                cost.file_bytes += entry.metadata()?.len();
            }
        }
        Ok(())
    })?;
    println!("{}", cost.to_json()?);
    Ok(())
}

fn load(arguments: &Arguments) -> Result<(), BenchError> {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(10.0, false);
    table.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.increase_parallelism(arguments.threads);
    options.prepare_for_bulk_load();
    options.set_write_buffer_size((arguments.budget << 20) / BUFFERS);
    options.set_max_write_buffer_number(BUFFERS.try_into()?);
    options.set_max_subcompactions(arguments.threads.try_into()?);
    let db = DB::open(&options, &arguments.dir)?;
    let mut writing = WriteOptions::default();
    writing.disable_wal(true);

    let mut input = BufReader::with_capacity(1 << 20, File::open(&arguments.input)?);
    let mut record = [0; RECORD_LEN];
    let mut batch = WriteBatch::default();
    loop {
        match input.read_exact(&mut record) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
        let (key, value) = record.split_at(KEY_LEN);
        batch.put(key, value);
        if batch.len() == BATCH {
            db.write_opt(std::mem::take(&mut batch), &writing)?;
        }
    }
    db.write_opt(batch, &writing)?;
    db.flush()?;
    let mut compacting = CompactOptions::default();
    compacting.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &compacting);
    Ok(())
}
