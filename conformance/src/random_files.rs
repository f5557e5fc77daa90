//! Tables and directories of random shape: all kinds of values, keys and blocks, filters, several
//! values per key, blobs, several commits.

use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_writer::table::Compression;
use sst_writer::{Monitor, Publisher, PublisherOptions, StreamingSstWriter, WriterOptions};

use crate::{SplitMix, TestEntry, TestValue};

pub(crate) type AnyError = Box<dyn std::error::Error>;

/// A temporary folder, in memory if the system has such a file system.
pub(crate) fn scratch() -> std::io::Result<tempfile::TempDir> {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() }
}

/// Writes one table to a file, without a description. Its blob numbers refer to files that do not
/// exist.
pub(crate) fn write_random_table(path: &Path, seed: u64) -> Result<(), AnyError> {
    let mut random = SplitMix::new(seed);
    let shape = Shape::random(&mut random);
    let mut writer = StreamingSstWriter::new(Vec::new(), shape.options());
    for entry in shape.entries(&mut random) {
        writer.add(entry)?;
    }
    std::fs::write(path, writer.finish()?.output)?;
    Ok(())
}

/// Publishes up to four commits of up to three tables. Some commits replace the earlier ones. Half
/// of the directories are certified, which the second decoder checks.
pub(crate) fn publish_random(dir: &Path, seed: u64) -> Result<(), AnyError> {
    let mut random = SplitMix::new(seed);
    let options = PublisherOptions::default().digest(seed.is_multiple_of(2));
    let mut publisher = Publisher::open(dir, options)?;
    for commit_number in 0..=random.word() % 4 {
        let mut commit = publisher.begin();
        if commit_number > 0 && random.word().is_multiple_of(4) {
            commit.replace_all();
        }
        for _ in 0..=random.word() % 3 {
            let shape = Shape::random(&mut random);
            let mut table = commit.create_table(shape.options())?;
            for entry in shape.entries(&mut random) {
                let blob = match &entry.value {
                    // The number in the entry is replaced by that of a blob file.
                    TestValue::Blob(_) => Some(commit.create_blob(random.half_random(3000))?),
                    _ => None,
                };
                let value = blob.map_or(entry.value, |number| TestValue::Blob(number.0));
                table.add(TestEntry { value, ..entry })?;
            }
            commit.add_table(table.finish()?)?;
        }
        sst_merge::publish(commit, &Monitor::default())?;
    }
    Ok(())
}

/// The properties that the entries of one table share.
struct Shape {
    entries: usize,
    key_len: usize,
    key_spread: usize,
    /// The kinds of values that occur, one bit for each.
    kinds: u64,
    multi_value: bool,
    compression: Compression,
    /// Sizes of value blocks and key blocks.
    block_sizes: [usize; 2],
    has_filter: bool,
    /// Whether hashes are arbitrary, which is possible for keys longer than 32 bytes.
    any_hash: bool,
}

const KINDS: usize = 8;

impl Shape {
    fn random(random: &mut SplitMix) -> Self {
        // Most tables are small, some have several key blocks.
        let most = if random.word().is_multiple_of(25) { 1500 } else { 60 };
        let any_hash = random.word().is_multiple_of(6);
        let key_lens = [0, 3, 8, 14, 16, 30, 33, 60, 250];
        let key_len = if any_hash { 33 } else { random.pick(&key_lens) };
        let key_spread = random.pick(&[1, 1, 3, 40]);
        Self {
            entries: 1 + random.below(most),
            key_len,
            key_spread,
            kinds: random.word() & random.word(),
            multi_value: random.word().is_multiple_of(3),
            compression: random.pick(&[Compression::Lz4, Compression::None]),
            block_sizes: [8 << 10, 16 << 10]
                .map(|default| random.pick(&[default, default, 1, 300, 4 << 10, 1 << 20])),
            has_filter: !random.word().is_multiple_of(4),
            any_hash,
        }
    }

    fn options(&self) -> WriterOptions {
        let options =
            WriterOptions::default().multi_value(self.multi_value).compression(self.compression);
        let [value_block_size, key_block_size] = self.block_sizes;
        let options = options.value_block_size(value_block_size).key_block_size(key_block_size);
        if self.has_filter { options.filter(QuotientFilter::default()) } else { options }
    }

    /// The entries in order. Keys are distinct unless the table may have several values per key.
    fn entries(&self, random: &mut SplitMix) -> Vec<TestEntry> {
        let mut entries: Vec<TestEntry> = (0..self.entries)
            .map(|_| {
                let len = self.key_len + random.below(self.key_spread);
                let mut entry = TestEntry::new(random.bytes(len), self.value(random));
                if self.any_hash {
                    entry.hash = random.word() >> 62;
                }
                entry
            })
            .collect();
        if self.multi_value {
            let repeated: Vec<Vec<u8>> =
                entries.iter().step_by(3).map(|entry| entry.key.clone()).collect();
            let hashes = entries.iter().step_by(3).map(|entry| entry.hash).collect::<Vec<_>>();
            for (key, hash) in repeated.into_iter().zip(hashes) {
                entries.push(TestEntry { hash, key, value: self.value(random) });
            }
        }
        TestEntry::sort(&mut entries);
        let multi_value = self.multi_value;
        entries.dedup_by(|entry, before| {
            let is_repeated = (entry.hash, &entry.key) == (before.hash, &before.key);
            // After a tombstone its key must not occur again.
            is_repeated && (!multi_value || before.value == TestValue::Deleted)
        });
        entries
    }

    fn value(&self, random: &mut SplitMix) -> TestValue {
        let wanted = random.below(KINDS);
        // The wanted kind, or the next one that occurs. If none occurs, the wanted one.
        let kind = (0..KINDS)
            .map(|step| (wanted + step) % KINDS)
            .find(|kind| self.kinds >> kind & 1 != 0)
            .unwrap_or(wanted);
        let len = random.below(4096);
        match kind {
            0 => TestValue::Inline(random.bytes(len % 9)),
            1 => TestValue::Inline(random.bytes(4)),
            2 => TestValue::Small(random.half_random(len % 200)),
            3 => TestValue::Small(random.half_random(len)),
            4 if len < 500 => TestValue::Medium(random.half_random(5000 + len)),
            5 if len < 500 => raw(random, len),
            6 if len < 200 => TestValue::Blob(1 + as_u32(len)),
            7 => TestValue::Deleted,
            _ => TestValue::Inline(random.bytes(8)),
        }
    }
}

/// A length in this file, which is far below the limit.
fn as_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A medium value in its stored form, compressed or not.
fn raw(random: &mut SplitMix, len: usize) -> TestValue {
    let value = random.half_random(1 + len);
    if random.word().is_multiple_of(2) {
        return TestValue::Raw { uncompressed_size: 0, block: value.clone(), value };
    }
    let uncompressed_size = as_u32(value.len());
    TestValue::Raw { block: lz4_flex::block::compress(&value), uncompressed_size, value }
}
