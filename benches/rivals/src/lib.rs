//! Other stores behind the traits of `sst-benches`, each in its own file.

mod cdb;
mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use sst_benches::store::Contender;

/// Returns all stores that this build contains.
#[must_use]
pub fn contenders() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(lmdb::Lmdb),
        Box::new(redb::Redb),
        Box::new(fjall::Fjall),
        Box::new(cdb::Cdb64),
        #[cfg(feature = "rocksdb")]
        Box::new(rocksdb::RocksDb),
    ]
}

/// Returns whether every rival can build a workload of this size five times in a minute.
fn is_moderate(entries: usize) -> bool {
    entries <= 2_000_000
}
