//! LMDB through the crate `heed`.

use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, WithTls};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::Data;

/// One database. Entries are appended in the order of their keys.
pub struct Lmdb;

fn open(dir: &Path) -> Result<Env<WithTls>, BenchError> {
    let mut options = EnvOpenOptions::new().read_txn_with_tls();
    options.map_size(8 << 30);
    // SAFETY: the directory is a temporary directory of this process, and it is opened only once at
    // a time. Without syncs a crash of the machine may lose the data, which is acceptable in a
    // bench.
    unsafe {
        // Lookups read at random places, so read-ahead would fetch megabytes for nothing.
        options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD);
        Ok(options.open(dir)?)
    }
}

impl Contender for Lmdb {
    fn name(&self) -> &'static str {
        "LMDB"
    }

    fn setup(&self) -> &'static str {
        "heed 0.22, one transaction, appended in key order, no sync; memory map; no compression, checksums or filter"
    }

    fn is_cached(&self) -> bool {
        false
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let env = open(dir)?;
        let mut txn = env.write_txn()?;
        let database: Database<Bytes, Bytes> = env.create_database(&mut txn, None)?;
        for row in data.iter_by_key() {
            database.put_with_flags(&mut txn, PutFlags::APPEND, row.key, row.value)?;
        }
        txn.commit()?;
        env.prepare_for_closing().wait();
        Ok(())
    }

    fn open<'d>(&self, _: &'d Data, dir: &Path, _: u64) -> Result<Box<dyn Store + 'd>, BenchError> {
        let env = open(dir)?;
        let txn = env.read_txn()?;
        let database = env.open_database(&txn, None)?.ok_or("no database")?;
        txn.commit()?;
        Ok(Box::new(Open { env, database }))
    }
}

struct Open {
    env: Env<WithTls>,
    database: Database<Bytes, Bytes>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.env.clone().prepare_for_closing();
    }
}

/// A read transaction.
struct Reading<'a> {
    txn: RoTxn<'a, WithTls>,
    database: Database<Bytes, Bytes>,
}

impl OpenStore for Open {
    type Session<'a> = Reading<'a>;

    fn session(&self) -> Result<Reading<'_>, BenchError> {
        Ok(Reading { txn: self.env.read_txn()?, database: self.database })
    }
}

impl Session for Reading<'_> {
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.database.get(&self.txn, key)? {
            visit(value);
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for entry in self.database.iter(&self.txn)? {
            let (key, value) = entry?;
            visit(key, value);
        }
        Ok(true)
    }
}
