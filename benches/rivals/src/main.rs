//! Measures our tables against other stores and the physical floor. `cargo xtask bench --peers
//! light|all` runs this program.

use sst_bench_rivals::contenders;
use sst_benches::command::{self, Rivals};
use sst_benches::store::BenchError;

fn main() -> Result<(), BenchError> {
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
    command::main(Rivals { contenders: contenders(), absent })
}
