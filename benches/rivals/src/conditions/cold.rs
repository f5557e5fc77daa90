//! Condition (g), data colder than memory: at the start of every sample no page of the store is in
//! memory.

use std::fs;
use std::path::PathBuf;

use sst_benches::Workload;
use sst_benches::access::Access;
use sst_benches::workload::{Batch, Data};

use crate::counters::{Counters, Sums};
use crate::figures::Figures;
use crate::pages::drop_pages;
use crate::{Result, Scope};

/// Number of entries as a multiple of the entries in the other conditions, equal to the one for our
/// store.
const TIMES: usize = 8;
/// Number of lookups after each drop of the page cache, number of keys of one `multi_get`, and
/// number of samples per round. All are equal to those for our store.
const LOOKUPS: usize = 4;
const GROUP: usize = 1000;
const SAMPLES: u64 = 4;
/// Size of the cache in bytes. The cache is empty at the start of a sample.
const CACHE: u64 = 64 << 20;

fn data(scope: Scope<'_>) -> Data {
    Data::new(Workload { name: "g", entries: TIMES * scope.entries, key_len: 16, value_len: 100 })
}

fn dir(scope: Scope<'_>) -> PathBuf {
    scope.dir.join(format!("cold-{}", TIMES * scope.entries))
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    let dir = dir(scope);
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(&dir)?;
    let data = data(scope);
    scope.store.build(&data, &dir)?;
    scope.store.publish(&data, &dir)
}

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let (data, dir) = (data(scope), dir(scope));
    let mut sums =
        [("open", 1), ("get", LOOKUPS), ("miss", LOOKUPS), ("multi_get", GROUP), ("gets", GROUP)]
            .map(|(operation, count)| (operation, count, Sums::default()));
    for sample in 0..SAMPLES {
        let seed = scope.round * SAMPLES + sample;
        for (operation, count, sums) in &mut sums {
            let keys = match *operation {
                "miss" => data.absent(*count, seed),
                _ => data.present(Access::Uniform, *count, seed),
            };
            // One lookup opens the files and reads the parts that stay in memory, as for our store.
            let warm = data.present(Access::Uniform, 1, !seed);
            drop_pages(&dir)?;
            let start = Counters::now()?;
            let store = scope.store.open(&data, &dir, CACHE)?;
            if *operation == "open" {
                sums.add(start.elapsed()?);
                continue;
            }
            expect(store.get(&warm.keys)?, &warm)?;
            let start = Counters::now()?;
            let found = match *operation {
                "multi_get" => store.multi_get(&keys.keys, GROUP)?,
                _ => store.get(&keys.keys)?,
            };
            sums.add(start.elapsed()?);
            expect(found, &keys)?;
        }
    }
    for (operation, count, sums) in sums {
        sums.report(&format!("g {operation}"), count * usize::try_from(SAMPLES)?, figures)?;
    }
    Ok(())
}

fn expect(found: sst_benches::store::Tally, keys: &Batch) -> Result<()> {
    if found == keys.expected { Ok(()) } else { Err("a lookup gave a wrong answer".into()) }
}
