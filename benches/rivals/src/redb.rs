//! redb, a B-tree in Rust.

use std::path::Path;

use ::redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::Data;

use crate::is_moderate;

/// One table, filled in one transaction in the order of its keys.
pub struct Redb;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// Name of the file that `build` writes.
const FILE: &str = "table.redb";

impl Contender for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn setup(&self) -> &'static str {
        "redb 4.6, one transaction in key order, committed with fsync; page cache; checksums; no compression or filter"
    }

    fn supports(&self, data: &Data) -> bool {
        is_moderate(data.entries())
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let database = Database::create(dir.join(FILE))?;
        let txn = database.begin_write()?;
        {
            let mut table = txn.open_table(TABLE)?;
            for row in data.iter_by_key() {
                table.insert(row.key, row.value)?;
            }
        }
        txn.commit()?;
        Ok(())
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        let cache = usize::try_from(cache)?;
        let database = Database::builder().set_cache_size(cache).open(dir.join(FILE))?;
        Ok(Box::new(Open(database)))
    }
}

struct Open(Database);

impl OpenStore for Open {
    type Session<'a> = Reading;

    fn session(&self) -> Result<Reading, BenchError> {
        Ok(Reading(self.0.begin_read()?.open_table(TABLE)?))
    }
}

/// The table as one read transaction sees it.
struct Reading(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Session for Reading {
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.0.get(key)? {
            visit(value.value());
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for entry in self.0.iter()? {
            let (key, value) = entry?;
            visit(key.value(), value.value());
        }
        Ok(true)
    }
}
