//! Condition (g), data colder than memory: at the start of every sample no page of the store is in
//! memory.

use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_benches::random::Random;
use sst_reader::{Access, ReaderOptions, SstSet};

use crate::counters::{Counters, Sums};
use crate::device;
use crate::figures::Figures;
use crate::pages::drop_pages;
use crate::stores::{self, key};
use crate::{Result, Scope};

/// Length of a value in bytes.
const VALUE_LEN: usize = 100;
/// Number of entries as a multiple of the entries in the other conditions. The store must be so
/// large that read-ahead cannot fetch all of it.
const TIMES: usize = 8;
/// Number of entries of a table, at most. A table has room for 65,536 blocks, so blocks of 4 KiB
/// hold less than two million values of this length.
const TABLE_ENTRIES: usize = 1_500_000;
/// Number of lookups after each drop of the page cache. There are only a few, so that a lookup
/// rarely needs a page that an earlier one has read.
const LOOKUPS: usize = 4;
/// Number of keys of one `multi_get`, and of as many gets one after the other.
const GROUP: usize = 1000;
/// Number of samples per round.
const SAMPLES: usize = 4;

/// The ways to store and to read: the name in figures, the size of blocks where it is not the
/// default, and the access.
const WAYS: [(&str, Option<usize>, Access); 4] = [
    ("map", None, Access::Map),
    ("read", None, Access::Read),
    ("map4k", Some(4 << 10), Access::Map),
    ("read4k", Some(4 << 10), Access::Read),
];

/// The reads of the device's floor: the name in figures, the size of blocks, and the lengths of a
/// key's reads in bytes. A key of `multi_get` takes a key block and a value block: in whole pages
/// they are about as many bytes as `multi_get` was seen to read.
const DEVICE_READS: [(&str, Option<usize>, [usize; 2]); 2] =
    [("map", None, [12 << 10, 12 << 10]), ("map4k", Some(4 << 10), [8 << 10, 4 << 10])];

fn dir(scope: Scope<'_>, block_size: Option<usize>) -> PathBuf {
    let blocks = block_size.map_or_else(String::new, |size| format!("-blocks-{size}"));
    scope.dir.join(format!("cold-{}{blocks}", TIMES * scope.entries))
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    let entries = TIMES * scope.entries;
    // Tables as a bulk load writes them: of disjoint ranges of hashes.
    let tables = stores::disjoint(entries, entries.div_ceil(TABLE_ENTRIES));
    for (_, block_size, _) in WAYS {
        if let Some(options) = stores::options_with_blocks(block_size) {
            stores::write(&dir(scope, block_size), &tables, VALUE_LEN, &options)?;
        }
    }
    Ok(())
}

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for (name, block_size, access) in WAYS {
        if stores::options_with_blocks(block_size).is_some() {
            measure(scope, name, &dir(scope, block_size), access, figures)?;
        }
    }
    for (name, block_size, lengths) in DEVICE_READS {
        if stores::options_with_blocks(block_size).is_some() {
            let name = format!("g {name} device at its best depth");
            device::floor(&name, &dir(scope, block_size), lengths, GROUP, scope.round, figures)?;
        }
    }
    Ok(())
}

fn measure(
    scope: Scope<'_>,
    name: &str,
    dir: &Path,
    access: Access,
    figures: &mut Figures,
) -> Result<()> {
    let mut random = Random::new(scope.round + 1);
    let entries = TIMES * scope.entries;
    let options = ReaderOptions::default().filter(QuotientFilter::default()).access(access);
    let mut sums =
        [("open", 1), ("get", LOOKUPS), ("miss", LOOKUPS), ("multi_get", GROUP), ("gets", GROUP)]
            .map(|(operation, count)| (operation, count, Sums::default()));
    for _ in 0..SAMPLES {
        for (operation, count, sum) in &mut sums {
            let present = *operation != "miss";
            let keys: Vec<_> = (0..*count)
                .map(|_| random.below(entries))
                .map(|number| key(number + if present { 0 } else { entries }))
                .collect();
            drop_pages(dir)?;
            let mut start = Counters::now()?;
            let set = SstSet::open(dir, &options)?;
            // This brings the tails and the filters of the tables into memory.
            set.open_all()?;
            if *operation != "open" {
                start = Counters::now()?;
            }
            let found = match *operation {
                "open" => 1,
                "multi_get" => set.multi_get(&keys)?.iter().flatten().count(),
                _ => {
                    let mut found = 0;
                    for key in &keys {
                        found += usize::from(set.get(key)?.is_some());
                    }
                    found
                }
            };
            sum.add(start.elapsed()?);
            if found != if present { *count } else { 0 } {
                return Err(format!("{operation}: {found} of {count} keys were found").into());
            }
        }
    }
    for (operation, count, sum) in sums {
        sum.report(&format!("g {name} {operation}"), count * SAMPLES, figures)?;
    }
    Ok(())
}
