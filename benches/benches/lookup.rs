//! Lookups, iteration and the cache: `cargo bench -p sst-benches --bench lookup`.

#![expect(clippy::expect_used, reason = "a bench may panic")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sst_benches::access::Access;
use sst_benches::contenders::SstTable;
use sst_benches::store::Contender;
use sst_benches::workload::{Data, Workload};
use sst_writer::table::Compression;

const LOOKUPS: usize = 10_000;

fn lookups(criterion: &mut Criterion) {
    let data = Data::new(Workload { name: "bench", entries: 200_000, key_len: 16, value_len: 100 });
    for compression in [Compression::Lz4, Compression::None] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let contender = SstTable::new(compression);
        contender.build(&data, dir.path()).expect("a table");
        let store = contender.open(&data, dir.path(), 1 << 30).expect("an open table");
        let present = data.present(Access::Uniform, LOOKUPS, 1).keys;
        let wanted = data.present(Access::Zipf, LOOKUPS, 1).keys;
        let absent = data.absent(LOOKUPS, 1).keys;
        let mut group = criterion.benchmark_group(format!("200k x 16 + 100, {compression:?}"));
        group.throughput(Throughput::Elements(LOOKUPS as u64));
        for (name, keys) in [("hit", &present), ("hit, Zipf", &wanted), ("miss", &absent)] {
            group.bench_function(name, |bencher| bencher.iter(|| black_box(store.get(keys))));
        }
        group.bench_function("multi_get of 1000", |bencher| {
            bencher.iter(|| black_box(store.multi_get(&present, 1000)));
        });
        group.throughput(Throughput::Bytes(data.byte_len() as u64));
        group.bench_function("scan", |bencher| bencher.iter(|| black_box(store.scan())));
        group.finish();
    }
}

fn caches(criterion: &mut Criterion) {
    let data = Data::new(Workload { name: "bench", entries: 200_000, key_len: 16, value_len: 100 });
    let dir = tempfile::tempdir().expect("a temporary folder");
    let contender = SstTable::new(Compression::Lz4);
    contender.build(&data, dir.path()).expect("a table");
    let mut group = criterion.benchmark_group("cache of 200k x 16 + 100, LZ4");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for (name, share) in [("nothing", 0), ("a tenth", 1), ("a half", 5), ("everything", 20)] {
        let cache = data.byte_len() as u64 * share / 10;
        let store = contender.open(&data, dir.path(), cache).expect("an open table");
        let keys = data.present(Access::Uniform, LOOKUPS, 2).keys;
        group.bench_function(format!("hit, holds {name}"), |bencher| {
            bencher.iter(|| black_box(store.get(&keys)));
        });
    }
    group.finish();
    criterion.bench_function("open", |bencher| {
        bencher.iter(|| drop(black_box(contender.open(&data, dir.path(), 1 << 20))));
    });
}

criterion_group!(benches, lookups, caches);
criterion_main!(benches);
