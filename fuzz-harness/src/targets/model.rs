//! Makes entries of any kind from an input, and the answers that readers must give for them.

use std::sync::{Arc, OnceLock};

use sst_amqf::QuotientFilter;
use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_reader::{BlockCache, Lookup, ReadValue, ReaderOptions, Slice};
use sst_writer::WriterOptions;
use sst_writer::table::Compression;

use crate::input::Input;

/// Options of a reader. All inputs share one cache, since creating a cache takes longer than most
/// inputs.
pub(crate) fn reader_options() -> ReaderOptions {
    static CACHE: OnceLock<Arc<BlockCache>> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Arc::new(BlockCache::new(1 << 20)));
    ReaderOptions::default().cache(Arc::clone(cache)).filter(QuotientFilter::default())
}

/// Options of a writer.
pub(crate) fn options(input: &mut Input<'_>) -> WriterOptions {
    let bits = input.u8();
    let compression = if bits & 1 == 0 { Compression::Lz4 } else { Compression::None };
    let options = WriterOptions::default().compression(compression).multi_value(bits & 2 != 0);
    let options = match bits & 48 {
        0 => options,
        16 => options.value_block_size(1).key_block_size(300),
        32 => options.value_block_size(300).key_block_size(1),
        _ => options.value_block_size(1 << 20).key_block_size(1 << 20),
    };
    match bits & 12 {
        0 => options,
        4 => options.filter(QuotientFilter::with_false_positive_rate(0.3)),
        _ => options.filter(QuotientFilter::default()),
    }
}

/// `len` bytes: random ones, or a short pattern repeated, so that they compress.
fn content(input: &mut Input<'_>, len: usize) -> Vec<u8> {
    let seed = input.u8();
    if seed & 1 == 0 {
        return SplitMix::new(seed.into()).bytes(len);
    }
    let pattern = [seed, seed >> 3, 0];
    pattern.iter().copied().cycle().take(len).collect()
}

/// A key. Most are short, so that keys repeat. The first bytes come from the input.
fn key(input: &mut Input<'_>) -> Vec<u8> {
    let class = input.u8();
    let len = match class {
        0..160 => usize::from(class % 5),
        160..200 => usize::from(class % 40),
        200..250 => 30 + usize::from(class % 6),
        250..254 => 250 + usize::from(class % 9),
        _ => usize::from(input.u16() % 17_000),
    };
    let mut key = input.bytes(len.min(2)).to_vec();
    key.resize(len, class);
    key
}

/// A value of any class. Blob numbers are small.
pub(crate) fn value(input: &mut Input<'_>) -> TestValue {
    match input.below(8) {
        0 | 1 => {
            let len = input.below(10);
            TestValue::Inline(content(input, len))
        }
        2 | 3 => {
            let len = match input.u16() {
                u16::MAX => 65_536,
                0xfffe => 65_535,
                len => usize::from(len % 4500),
            };
            TestValue::Small(content(input, len))
        }
        4 => {
            let len = usize::from(input.u16() % 10_000);
            TestValue::Medium(content(input, len))
        }
        5 => {
            let len = usize::from(input.u16() % 10_000);
            raw(input, len)
        }
        6 => TestValue::Blob(input.u8().into()),
        _ => TestValue::Deleted,
    }
}

/// A medium value in its stored form, compressed or not.
fn raw(input: &mut Input<'_>, len: usize) -> TestValue {
    let is_plain = input.u8() & 1 == 0;
    let value = content(input, len);
    if is_plain || value.is_empty() {
        return TestValue::Raw { uncompressed_size: 0, block: value.clone(), value };
    }
    let block = lz4_flex::block::compress(&value);
    let uncompressed_size = len_as_u32(&value);
    TestValue::Raw { value, uncompressed_size, block }
}

fn len_as_u32(value: &[u8]) -> u32 {
    let len = u32::try_from(value.len());
    assert!(len.is_ok(), "values of inputs are short");
    len.unwrap_or(u32::MAX)
}

/// Reads entries until the input ends. With `any_hash`, some have a hash that does not match their
/// key.
pub(crate) fn entries(input: &mut Input<'_>, any_hash: bool) -> Vec<TestEntry> {
    let mut entries: Vec<TestEntry> = Vec::new();
    while !input.is_empty() {
        let bits = input.u8();
        let key = match entries.last() {
            // Repeat the key of the last entry.
            Some(last) if bits & 0x30 == 0x30 => last.key.clone(),
            _ => key(input),
        };
        let mut entry = TestEntry::new(key, value(input));
        if any_hash && bits & 8 != 0 {
            entry.hash = u64::from(bits & 3) << 62 | u64::from(bits & 4);
        }
        entries.push(entry);
    }
    entries
}

/// A tombstone, a blob number or bytes, in a form that can be compared.
pub(crate) type Answer<'a> = (Option<u32>, Option<&'a [u8]>);

/// The answer that a reader must give for a value.
pub(crate) fn of_value(value: &TestValue) -> Answer<'_> {
    match value {
        TestValue::Blob(number) => (Some(*number), None),
        value => (None, value.bytes()),
    }
}

/// The answer that an entry from a reader stands for.
pub(crate) fn of_entry<'a>(value: &'a ReadValue<Slice<'_>>) -> Answer<'a> {
    match value {
        ReadValue::Deleted => (None, None),
        ReadValue::Blob(number) => (Some(number.0), None),
        ReadValue::Value(value) => (None, Some(value)),
    }
}

/// The answer that a lookup stands for; `None` for an absent key.
pub(crate) fn of_lookup<'a>(lookup: &'a Lookup<'_>) -> Option<Answer<'a>> {
    match lookup {
        Lookup::NotFound => None,
        Lookup::Deleted => Some((None, None)),
        Lookup::Blob(number) => Some((Some(number.0), None)),
        Lookup::Value(value) => Some((None, Some(value))),
    }
}
