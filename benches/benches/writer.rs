//! Writing tables: `cargo bench -p sst-benches --bench writer`.

#![expect(clippy::expect_used, reason = "a bench may panic")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sst_amqf::QuotientFilter;
use sst_benches::workload::{Data, Workload};
use sst_writer::table::Compression;
use sst_writer::{StreamingSstWriter, WriterOptions};

fn write(data: &Data, options: WriterOptions, capacity: usize) -> u64 {
    let mut writer = StreamingSstWriter::new(Vec::with_capacity(capacity), options);
    for row in data.iter() {
        writer.add(row).expect("a valid entry");
    }
    writer.finish().expect("a table").meta.file_size
}

fn writers(criterion: &mut Criterion) {
    for value_len in [8, 100, 1000] {
        let entries = 10_000_000 / (16 + value_len);
        let data = Data::new(Workload { name: "bench", entries, key_len: 16, value_len });
        let mut group = criterion.benchmark_group(format!("{entries} x 16 + {value_len}"));
        group.throughput(Throughput::Elements(entries as u64)).sample_size(10);
        let raw = WriterOptions::default().compression(Compression::None);
        let lz4 = WriterOptions::default();
        let filtered = lz4.clone().filter(QuotientFilter::default());
        for (name, options) in [("raw", raw), ("lz4", lz4), ("lz4, filter", filtered)] {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || options.clone(),
                    |options| black_box(write(&data, options, data.byte_len() * 2)),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, writers);
criterion_main!(benches);
