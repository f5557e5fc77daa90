//! Measures our tables against other stores and the physical floor: what
//! `cargo xtask bench --peers light|all` runs.

mod cdb;
mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use sst_benches::command::{self, Rivals};
use sst_benches::store::{BenchError, Contender};

fn main() -> Result<(), BenchError> {
    let contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(lmdb::Lmdb),
        Box::new(redb::Redb),
        Box::new(fjall::Fjall),
        Box::new(cdb::Cdb64),
        #[cfg(feature = "rocksdb")]
        Box::new(rocksdb::RocksDb),
    ];
    let mut absent = vec![
        "sparkey: no package of it for this system or for Rust could be had".to_owned(),
        "redb and fjall with (e): ten million entries take them too long for five rounds"
            .to_owned(),
    ];
    if cfg!(feature = "rocksdb") {
        absent.push("RocksDB's PlainTable: a written file cannot be ingested with it".to_owned());
    }
    if cfg!(not(feature = "rocksdb")) {
        absent.push("RocksDB: `--peers all` builds it".to_owned());
    }
    command::main(Rivals { contenders, absent })
}

/// Workloads that every rival can build five times in a minute.
fn is_moderate(entries: usize) -> bool {
    entries <= 2_000_000
}
