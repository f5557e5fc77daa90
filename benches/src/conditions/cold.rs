//! Condition (g), data colder than memory: at the start of every sample no page of the store is in
//! memory.

use std::path::PathBuf;

use sst_amqf::QuotientFilter;
use sst_benches::random::Random;
use sst_reader::{Access, ReaderOptions, SstSet};

use crate::counters::{Counters, Sums};
use crate::figures::Figures;
use crate::pages::drop_pages;
use crate::stores::{self, key};
use crate::{Result, Scope};

/// Length of a value in bytes.
const VALUE_LEN: usize = 100;
/// Number of entries as a multiple of the entries in the other conditions. The store must be so
/// large that read-ahead cannot fetch all of it.
const TIMES: usize = 3;
/// Number of lookups after each drop of the page cache. There are only a few, so that a lookup
/// rarely needs a page that an earlier one has read.
const LOOKUPS: usize = 4;
/// Number of keys of one `multi_get`.
const GROUP: usize = 256;
/// Number of samples per round.
const SAMPLES: usize = 8;

fn dir(scope: Scope<'_>) -> PathBuf {
    scope.dir.join(format!("cold-{}", TIMES * scope.entries))
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    stores::write(&dir(scope), &stores::overlapping(TIMES * scope.entries, 1), VALUE_LEN)
}

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let mut random = Random::new(scope.round + 1);
    let (entries, first) = (TIMES * scope.entries, &key(0));
    for (access, name) in [(Access::Map, "map"), (Access::Read, "read")] {
        let options = ReaderOptions::default().filter(QuotientFilter::default()).access(access);
        let mut sums: Vec<(&str, usize, Sums)> = vec![
            ("open", 1, Sums::default()),
            ("get", LOOKUPS, Sums::default()),
            ("miss", LOOKUPS, Sums::default()),
            ("multi_get", GROUP, Sums::default()),
        ];
        for _ in 0..SAMPLES {
            for (operation, count, sum) in &mut sums {
                let present = *operation != "miss";
                let keys: Vec<_> = (0..*count)
                    .map(|_| random.below(entries))
                    .map(|number| key(number + if present { 0 } else { entries }))
                    .collect();
                let dir = dir(scope);
                drop_pages(&dir)?;
                let mut start = Counters::now()?;
                let set = SstSet::open(&dir, &options)?;
                if *operation == "open" {
                    set.open_all()?;
                } else {
                    // One lookup opens the table and brings its tail and its filter into memory.
                    set.get(first)?;
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
                sum.add(start.taken()?);
                if found != if present { *count } else { 0 } {
                    return Err(format!("{operation}: {found} of {count} keys were found").into());
                }
            }
        }
        for (operation, count, sum) in sums {
            sum.report(&format!("g {name} {operation}"), count * SAMPLES, figures)?;
        }
    }
    Ok(())
}
