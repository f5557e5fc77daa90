//! The parts that lookups and writers are made of: `cargo bench -p sst-benches --bench parts`.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may panic")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_benches::random::Random;
use sst_format::BlockIndex;
use sst_format::filter::{FilterBytes, FilterPolicy};
use sst_format::index_block::{IndexBlock, IndexBlockEncoder};
use sst_format::key_block::{KeyBlock, KeyBlockEncoder, KeyBlockShape};
use sst_format::value_ref::ValueRef;
use sst_writer::table::hash_key;

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash a key");
    for len in [16, 40, 100, 1000] {
        let key = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |bencher| {
            bencher.iter(|| hash_key(black_box(&key)));
        });
    }
    group.finish();
}

fn floor(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let mut block = vec![0; 8192];
    random.fill(&mut block[..4096]);
    let stored = lz4_flex::block::compress(&block);
    let mut out = vec![0; block.len()];
    let mut group = criterion.benchmark_group("8 KiB, half random");
    group.throughput(Throughput::Bytes(block.len() as u64));
    group.bench_function("crc32", |bencher| {
        bencher.iter(|| crc32fast::hash(black_box(&block)));
    });
    group.bench_function("lz4 compress", |bencher| {
        bencher.iter(|| lz4_flex::block::compress(black_box(&block)));
    });
    group.bench_function("lz4 decompress", |bencher| {
        bencher.iter(|| lz4_flex::block::decompress_into(black_box(&stored), &mut out));
    });
    group.bench_function("copy", |bencher| {
        bencher.iter(|| out.copy_from_slice(black_box(&block)));
    });
    group.finish();
}

fn key_blocks(criterion: &mut Criterion) {
    let mut random = Random::new(2);
    let keys: Vec<[u8; 16]> = (0..455)
        .map(|_| {
            let mut key = [0; 16];
            random.fill(&mut key);
            key
        })
        .collect();
    let value = ValueRef::Inline(b"12345678");
    let entry_type = value.entry_type().expect("a type");
    let shape = keys.iter().fold(KeyBlockShape::default(), |shape, key| {
        shape.with_entry(key.len(), entry_type).expect("room")
    });
    let encode = |out: &mut Vec<u8>| {
        out.clear();
        let mut encoder = KeyBlockEncoder::new(&shape, out);
        keys.iter().for_each(|key| encoder.push(0, key, value));
        encoder.finish().map(drop)
    };
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("key block of 455 entries");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&mut out))));
    encode(&mut out).expect("a block");
    group.bench_function("read all entries", |bencher| {
        bencher.iter(|| {
            let block = KeyBlock::parse(black_box(&out)).expect("a block");
            (0..block.entry_count())
                .filter_map(|i| block.entry(i).ok())
                .fold(0, |sum, entry| sum + usize::from(entry.key[0]) + entry.value_ref.len())
        });
    });
    let fixed = match KeyBlock::parse(&out) {
        Ok(KeyBlock::Fixed(block)) => Some(block),
        _ => None,
    };
    let block = fixed.expect("keys of one length");
    // On average, the second estimate of a lookup is wrong by two entries.
    group.bench_function("find every key, from two entries off", |bencher| {
        bencher.iter(|| {
            let found = |(key, i): &(&[u8; 16], u32)| {
                block.find_near(black_box(*key), (*i + 2).min(block.entry_count() - 1), 8)
            };
            keys.iter().zip(0..).filter_map(|key| found(&key)).count()
        });
    });
    group.finish();
}

fn index_block(criterion: &mut Criterion) {
    const KEY_BLOCKS: u16 = 2200;
    let encode = || {
        let mut encoder = IndexBlockEncoder::new();
        for i in 0..KEY_BLOCKS {
            encoder.push(u64::MAX / u64::from(KEY_BLOCKS) * u64::from(i), BlockIndex(i));
        }
        encoder.finish().expect("an index block")
    };
    let payload = encode();
    let mut group = criterion.benchmark_group("index block of 2200 key blocks");
    group.throughput(Throughput::Elements(KEY_BLOCKS.into()));
    group.bench_function("encode", |bencher| bencher.iter(encode));
    group.bench_function("validate", |bencher| {
        bencher.iter(|| {
            let block = IndexBlock::parse(black_box(&payload)).expect("an index block");
            block.validate(KEY_BLOCKS + 1)
        });
    });
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    let mut random = Random::new(3);
    let mut hashes: Vec<u64> = (0..1_000_000).map(|_| random.word()).collect();
    hashes.sort_unstable();
    let policy = QuotientFilter::default();
    let build = || {
        let mut builder = policy.builder();
        builder.add_hashes(&hashes);
        builder.finish().expect("a filter")
    };
    let filter = policy.open(FilterBytes::new(build())).expect("the filter");
    let bytes = build();
    let view = QuotientFilterView::parse(&bytes).expect("the filter");
    let absent: Vec<u64> = (0..10_000).map(|_| random.word()).collect();
    let present: Vec<u64> = (0..10_000).map(|_| hashes[random.below(hashes.len())]).collect();
    let mut group = criterion.benchmark_group("filter of 1M hashes");
    group.throughput(Throughput::Elements(hashes.len() as u64)).sample_size(10);
    group.bench_function("build", |bencher| bencher.iter(build));
    group.bench_function("check on opening", |bencher| bencher.iter(|| view.check_structure()));
    group.bench_function("validate", |bencher| bencher.iter(|| view.validate()));
    group.throughput(Throughput::Elements(10_000));
    for (name, asked) in [("hit", &present), ("miss", &absent)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| asked.iter().filter(|&&hash| filter.may_contain(hash)).count());
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, floor, key_blocks, index_block, filters);
criterion_main!(benches);
