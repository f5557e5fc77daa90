//! Condition (h), many tables with everything in memory. The ranges of hashes of the tables are
//! either disjoint, or all tables cover the full range.

use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_benches::random::Random;
use sst_reader::{ReaderOptions, SstSet};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::stores::{self, Key, key};
use crate::{Result, Scope};

/// Length of a value in bytes.
const VALUE_LEN: usize = 8;
/// Number of tables of each store.
pub(crate) const TABLES: [usize; 4] = [1, 10, 100, 1000];
/// Number of keys that are looked up in each way.
const LOOKUPS: usize = 20_000;
/// Number of keys of one `multi_get`.
const GROUP: usize = 1000;

/// Returns the directory of the store with this shape and number of tables.
pub(crate) fn dir(scope: Scope<'_>, shape: &str, tables: usize) -> PathBuf {
    scope.dir.join(format!("{shape}-{tables}-{}", scope.entries))
}

pub(crate) fn options() -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default())
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    for tables in TABLES {
        let cut = stores::overlapping(scope.entries, tables);
        stores::write(&dir(scope, "overlapping", tables), &cut, VALUE_LEN, &stores::options())?;
        let cut = stores::disjoint(scope.entries, tables);
        stores::write(&dir(scope, "disjoint", tables), &cut, VALUE_LEN, &stores::options())?;
    }
    Ok(())
}

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for shape in ["disjoint", "overlapping"] {
        for tables in TABLES {
            let name = format!("h {shape} {tables}");
            let dir = dir(scope, shape, tables);
            measure(scope.round, scope.entries, &name, &dir, figures)?;
        }
    }
    Ok(())
}

/// Measures lookups in a store of this many entries. `name` is the start of the figures' names.
#[expect(clippy::cast_precision_loss, reason = "counts of lookups")]
pub(crate) fn measure(
    round: u64,
    entries: usize,
    name: &str,
    dir: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let mut random = Random::new(round + 1);
    let mut keys = |offset: usize| -> Vec<_> {
        (0..LOOKUPS).map(|_| key(offset + random.below(entries))).collect()
    };
    let (warm, present, absent) = (keys(0), keys(0), keys(entries));
    let start = Counters::now()?;
    let set = SstSet::open(dir, &options())?;
    figures.add(format!("{name} open, µs"), start.elapsed()?.processor_ns / 1e3)?;
    set.open_all()?;
    let get = |keys: &[Key]| -> Result<(f64, usize)> {
        let start = Counters::now()?;
        let mut found = 0;
        for key in keys {
            found += usize::from(set.get(key)?.is_some());
        }
        Ok((start.elapsed()?.processor_ns / keys.len() as f64, found))
    };
    let multi_get = |keys: &[Key]| -> Result<(f64, usize)> {
        let start = Counters::now()?;
        let mut found = 0;
        for group in keys.chunks(GROUP) {
            found += set.multi_get(group)?.iter().flatten().count();
        }
        Ok((start.elapsed()?.processor_ns / keys.len() as f64, found))
    };
    get(&warm)?;
    for (operation, (ns, found), expected) in [
        ("hit", get(&present)?, LOOKUPS),
        ("miss", get(&absent)?, 0),
        ("multi_get hit", multi_get(&present)?, LOOKUPS),
        ("multi_get miss", multi_get(&absent)?, 0),
    ] {
        if found != expected {
            return Err(format!("{name} {operation}: {found} keys were found").into());
        }
        figures.add(format!("{name} {operation}, ns"), ns)?;
    }
    Ok(())
}
