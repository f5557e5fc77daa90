//! Lookups, iteration and the cache: `cargo bench -p sst-benches --bench lookup`.

#![expect(clippy::expect_used, reason = "a bench has nobody to report an error to")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sst_benches::table;
use sst_benches::workload::{Data, Workload};
use sst_writer::Compression;

const LOOKUPS: usize = 10_000;

fn lookups(criterion: &mut Criterion) {
    let data = Data::new(Workload { name: "bench", entries: 200_000, key_len: 16, value_len: 100 });
    let dir = tempfile::tempdir().expect("a temporary folder");
    for compression in [Compression::Lz4, Compression::None] {
        let path = dir.path().join(format!("{compression:?}.sst"));
        let meta = table::write(&data, &path, compression).expect("a table");
        let opened = table::open(&path, &meta, 1 << 30).expect("an open table");
        let (present, absent) = (data.access(LOOKUPS, 1), data.absent(LOOKUPS, 1));
        let mut group = criterion.benchmark_group(format!("200k x 16 + 100, {compression:?}"));
        group.throughput(Throughput::Elements(LOOKUPS as u64));
        group.bench_function("hit", |bencher| {
            bencher.iter(|| black_box(table::get_present(&opened, &present, 16)));
        });
        group.bench_function("miss", |bencher| {
            bencher.iter(|| black_box(table::get_absent(&opened, &absent, 16)));
        });
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function("scan", |bencher| bencher.iter(|| black_box(table::scan(&opened))));
        group.finish();
        criterion.bench_function(&format!("open, {compression:?}"), |bencher| {
            bencher.iter(|| black_box(table::open(&path, &meta, 1 << 20)));
        });
    }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
