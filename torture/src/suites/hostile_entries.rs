//! Hostile input to the writer: a million keys with the same hash, and every limit of the format,
//! just below and just above. An accepted entry must read back right. A refused entry must give a
//! typed error, after which the writer continues as before.

mod limits;
mod one_hash;
mod sparse_file;

use sst_amqf::QuotientFilter;
use sst_format::SstMeta;
use sst_reader::{Lookup, ReaderOptions, StaticSortedFile};
use sst_writer::table::{Compression, Finished, HashedEntry, hash_key};
use sst_writer::{EntryValue, StreamingSstWriter, WriterOptions};

use self::limits::{block_count, blocks_end, key_lens, many_entries, value_lens};
use self::one_hash::{a_million_collisions, mixed_collisions, run_of_bytes, run_of_entries};
use crate::{Context, Protection, Row, Suite, Verdict, caught};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hostile entries",
    about: "real collisions by the million, and every limit of the writer, one below, at it, one above",
    run,
};

/// The counts of correctly accepted and refused cases, or the first failure.
type Outcome = Result<Counts, String>;

/// A test: its name and its action, whose argument is true in a full run.
type Test = (&'static str, fn(bool) -> Outcome);

/// The tests of a brief run.
const BRIEF: [&str; 2] = ["runs of one hash in two lengths of key", "a run of 2^24 bytes"];

/// Counts of the cases of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Cases refused with the right error.
    refused: u64,
    /// Cases accepted and read back right.
    accepted: u64,
}

const fn counts(accepted: u64, refused: u64) -> Counts {
    Counts { refused, accepted }
}

fn run(context: &Context) -> Vec<Row> {
    let tests: [Test; 9] = [
        ("a million keys with one hash", a_million_collisions),
        ("runs of one hash in two lengths of key", mixed_collisions),
        ("keys of 0 bytes and around 16 MiB", key_lens),
        ("inline, small and medium values around their limits", value_lens),
        ("a run of 2^24 bytes", run_of_bytes),
        ("a run of 2^24 entries", run_of_entries),
        ("65,535 blocks", block_count),
        ("blocks that end at 2^32 - 1", blocks_end),
        ("16,000,000 entries", many_entries),
    ];
    let row_of = |(test, run): Test| {
        if context.is_brief() && !BRIEF.contains(&test) {
            return Row::skipped(test, Protection::Protected, "takes more than a brief run has");
        }
        let mut row = Row::new(test, Protection::Protected);
        match caught(|| run(context.is_full())) {
            Err(panic) => row.count_panic(0, panic),
            Ok(Err(wrong)) => row.count(0, Verdict::Wrong(wrong), || test.to_owned()),
            Ok(Ok(Counts { refused, accepted })) => {
                (0..refused).for_each(|_| row.count(0, Verdict::Detected, String::new));
                (0..accepted).for_each(|_| row.count(0, Verdict::Harmless, String::new));
            }
        }
        row
    };
    tests.into_iter().map(row_of).collect()
}

fn entry<'a>(key: &'a [u8], value: EntryValue<'a>) -> HashedEntry<'a> {
    HashedEntry { hash: hash_key(key), key, value }
}

fn options() -> WriterOptions {
    WriterOptions::default().compression(Compression::None).filter(QuotientFilter::default())
}

fn in_memory(options: WriterOptions) -> StreamingSstWriter<Vec<u8>> {
    StreamingSstWriter::new(Vec::new(), options)
}

/// Fails with this text unless `is_right`.
fn expect(is_right: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(what()) }
}

fn message(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Opens a table in memory and verifies it.
fn open(finished: Finished<Vec<u8>>) -> Result<(StaticSortedFile, SstMeta), String> {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let Finished { meta, output, .. } = finished;
    let table =
        StaticSortedFile::from_bytes("table", output, Some(&meta), &options).map_err(message)?;
    let report = table.verify(&sst_reader::Monitor::default()).map_err(message)?;
    match report.damage.first() {
        None => Ok((table, meta)),
        Some(damage) => Err(message(damage)),
    }
}

/// Checks the value of a key.
fn expect_value(table: &StaticSortedFile, key: &[u8], value: &[u8]) -> Result<(), String> {
    expect_hashed(table, hash_key(key), key, value)
}

fn expect_hashed(
    table: &StaticSortedFile,
    hash: u64,
    key: &[u8],
    value: &[u8],
) -> Result<(), String> {
    let found = table.lookup(hash, key).map_err(message)?;
    let is_right = matches!(&found, Lookup::Value(found) if &**found == value);
    expect(is_right, || format!("key of {} bytes with hash {hash:016x}: {found:?}", key.len()))
}
