//! Whole tables of any bytes with corrected offsets and checksums: every read must be safe, and a
//! table that verification finds intact must answer right.

use byteorder::{BigEndian, ByteOrder};
use sst_format::block::BlockHeader;
use sst_format::filter::FilterBytes;
use sst_format::{SstMeta, TableFlags, TableProtection};
use sst_reader::{Lookup, ReadValue, Slice, StaticSortedFile, hash_key};

use crate::repair;
use crate::targets::model::reader_options;

/// Number of entries that are remembered and looked up again.
const REMEMBERED: usize = 48;

/// Number of entries after which iteration stops: a few hostile bytes can decompress to millions.
const WALKED: usize = 4096;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    check_all_reads(data, None);
    let mut repaired = data.to_vec();
    let Some(block_count) = repair::table(&mut repaired) else { return };
    check_all_reads(&repaired, None);
    check_all_reads(&repaired, Some(&describe(&repaired, block_count)));
}

/// A description that nearly matches: its hashes, entry count and filter come from the bytes.
fn describe(bytes: &[u8], block_count: u16) -> SstMeta {
    let word = |at: usize| {
        // A description may be wrong, so 0 stands for a word beyond the end.
        bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk::<8>)
            .map_or(0, |word| BigEndian::read_u64(word))
    };
    let mut starts = vec![0];
    let table_at = bytes.len() - usize::from(block_count) * 4;
    let (_, table) = bytes.split_at(table_at);
    starts.extend(table.chunks_exact(4).map(|end| BigEndian::read_u32(end) as usize));
    let headers = starts.iter().take(usize::from(block_count));
    let choice = word(0) >> 56;
    let filter = if choice & 1 == 0 { Vec::new() } else { bytes.to_vec() };
    SstMeta {
        block_count,
        min_hash: if choice & 2 == 0 { 0 } else { word(8) },
        max_hash: if choice & 4 == 0 { u64::MAX } else { word(16) },
        file_size: bytes.len() as u64,
        flags: TableFlags::default(),
        filter: FilterBytes::new(filter),
        protection: (choice & 8 == 0).then(|| TableProtection {
            entry_count: word(0),
            block_headers: headers
                .map(|&start| BlockHeader::from_bytes(word(start).to_be_bytes()))
                .collect(),
        }),
    }
}

type Value = Option<Result<u32, Vec<u8>>>;

/// A tombstone, a blob number or a value, in a form that can be compared.
fn comparable(value: &ReadValue<Slice<'_>>) -> Value {
    match value {
        ReadValue::Deleted => None,
        ReadValue::Blob(number) => Some(Ok(number.0)),
        ReadValue::Value(value) => Some(Err(value.to_vec())),
    }
}

fn of_lookup(lookup: &Lookup<'_>) -> Option<Value> {
    match lookup {
        Lookup::NotFound => None,
        Lookup::Deleted => Some(None),
        Lookup::Blob(number) => Some(Some(Ok(number.0))),
        Lookup::Value(value) => Some(Some(Err(value.to_vec()))),
    }
}

fn check_all_reads(bytes: &[u8], meta: Option<&SstMeta>) {
    let Ok(table) = StaticSortedFile::from_bytes("table", bytes.to_vec(), meta, &reader_options())
    else {
        return;
    };
    let verified = table.verify(&sst_reader::Monitor::default());
    assert!(verified.is_ok(), "{:?}", verified.err());
    let Ok(report) = verified else { return };
    _ = table.inspect();
    _ = table.blobs();
    let mut seen: Vec<(u64, Vec<u8>, Value)> = Vec::new();
    let mut count = 0;
    let mut is_whole = false;
    let mut entries = table.iter();
    while count < WALKED {
        match entries.next() {
            None => {
                is_whole = true;
                break;
            }
            Some(Err(_)) => {
                assert!(entries.next().is_none(), "iteration continues after an error");
                break;
            }
            Some(Ok(entry)) if seen.len() < REMEMBERED => {
                seen.push((entry.hash, entry.key.to_vec(), comparable(&entry.value)));
            }
            Some(Ok(_)) => {}
        }
        count += 1;
    }
    if report.is_intact() {
        assert!(is_whole || count == WALKED, "verified, and a walk ends early");
        assert!(!is_whole || report.entries == count as u64);
        assert!(table.inspect().is_ok());
        check_answers(&table, &seen);
    }
    run_other_reads(&table, &seen, report.is_intact());
}

/// Checks that every entry of a verified table is found among the entries of its key.
fn check_answers(table: &StaticSortedFile, seen: &[(u64, Vec<u8>, Value)]) {
    let keys = seen.iter().map(|(hash, key, _)| (*hash, key));
    assert!(keys.is_sorted());
    for (hash, key, value) in seen {
        let found = table.lookup(*hash, key);
        assert!(found.is_ok_and(|found| found != Lookup::NotFound), "{hash:016x} is lost");
        let first = seen.iter().find(|other| (other.0, &other.1) == (*hash, key));
        let found = table.lookup(*hash, key).ok().and_then(|found| of_lookup(&found));
        assert_eq!(found.as_ref(), first.map(|first| &first.2));
        let all = table.lookup_all(*hash, key).into_iter().flatten().flatten();
        assert!(all.map(|entry| comparable(&entry)).any(|entry| entry == *value));
        assert!(table.may_contain(*hash));
    }
}

/// Runs reads whose answers are not known in advance.
fn run_other_reads(table: &StaticSortedFile, seen: &[(u64, Vec<u8>, Value)], is_intact: bool) {
    for (hash, key, _) in seen.iter().take(8) {
        _ = table.lookup(*hash, key).map(|found| of_lookup(&found));
        _ = table.get(key).map(|found| of_lookup(&found));
        _ = table.lookup_all(*hash, key).map(|all| all.take(WALKED).count());
        for near in [hash.wrapping_sub(1), hash.wrapping_add(1), !hash] {
            _ = table.lookup(near, key).map(|found| of_lookup(&found));
        }
        if let Ok(mut cursor) = table.range(*hash..=hash.saturating_add(1 << 40)) {
            let (mut left, mut buffer) = (WALKED, Vec::new());
            while left > 0
                && let Ok(Some(entry)) = cursor.next()
            {
                assert!(!is_intact || entry.hash >= *hash);
                _ = entry.stored_medium(&mut buffer);
                _ = entry.into_value();
                left -= 1;
            }
        }
    }
    for key in [&b""[..], b"absent", &[0xff; 40]] {
        _ = table.lookup(hash_key(key), key).map(|found| of_lookup(&found));
        _ = table.lookup(0, key).map(|found| of_lookup(&found));
        _ = table.lookup(u64::MAX, key).map(|found| of_lookup(&found));
    }
}
