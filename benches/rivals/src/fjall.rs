//! fjall, an LSM tree in Rust.

use std::path::Path;

use ::fjall::config::HashRatioPolicy;
use ::fjall::{Database, Keyspace, KeyspaceCreateOptions};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::Data;

use crate::is_moderate;

/// One keyspace, loaded by bulk ingestion.
pub struct Fjall;

fn open(dir: &Path, cache: u64) -> Result<(Database, Keyspace), BenchError> {
    let database = Database::builder(dir).cache_size(cache).open()?;
    let options = || {
        KeyspaceCreateOptions::default().data_block_hash_ratio_policy(HashRatioPolicy::all(1.33))
    };
    let keyspace = database.keyspace("entries", options)?;
    Ok((database, keyspace))
}

impl Contender for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn setup(&self) -> &'static str {
        "fjall 3.1, bulk ingestion, LZ4, bloom filter, hash index in blocks, block cache"
    }

    fn supports(&self, data: &Data) -> bool {
        is_moderate(data.entries())
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let (_database, keyspace) = open(dir, 64 << 20)?;
        let mut ingestion = keyspace.start_ingestion()?;
        for row in data.iter_by_key() {
            ingestion.write(row.key, row.value)?;
        }
        ingestion.finish()?;
        Ok(())
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        let (database, keyspace) = open(dir, cache)?;
        Ok(Box::new(Open { keyspace, _database: database }))
    }
}

struct Open {
    keyspace: Keyspace,
    _database: Database,
}

impl OpenStore for Open {
    type Session<'a> = &'a Open;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(self)
    }
}

impl Session for &Open {
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.keyspace.get(key)? {
            visit(&value);
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for guard in self.keyspace.iter() {
            let (key, value) = guard.into_inner()?;
            visit(&key, &value);
        }
        Ok(true)
    }
}
