//! Condition (t), one table in memory: opening it, and hits while the block cache holds a tenth of
//! the data, with value blocks of the default size and of 4 KiB.

use std::path::PathBuf;

use sst_amqf::QuotientFilter;
use sst_benches::random::Random;
use sst_reader::{BlockCache, Catalog, Lookup, ReaderOptions, SstSet, StaticSortedFile};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::names;
use crate::stores::{self, key};
use crate::{Result, Scope};

/// Workloads of `cargo xtask bench`: the letter, the length of a value in bytes, and the part of
/// the entries of other conditions that it has.
const WORKLOADS: [(&str, usize, usize); 2] = [("b", 100, 1), ("c", 1000, 5)];
/// The name in figures, and the size of blocks in bytes where it is not the default.
const BLOCKS: [(&str, Option<usize>); 2] = [("8k", None), ("4k", Some(4 << 10))];
/// Length of a key in bytes.
const KEY_LEN: usize = 16;
/// The name of the only table.
const FILE: &str = "00000001.sst";
/// Number of lookups that fill the cache, and of those that are measured.
const LOOKUPS: usize = 100_000;
/// Number of times that a table is opened.
const OPENINGS: usize = 200;

fn dir(scope: Scope<'_>, workload: &str, blocks: &str) -> PathBuf {
    scope.dir.join(format!("one-{workload}-{blocks}-{}", scope.entries))
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    for (workload, value_len, part) in WORKLOADS {
        for (blocks, block_size) in BLOCKS {
            if let Some(options) = stores::options_with_blocks(block_size) {
                let table = vec![(0..scope.entries / part).collect()];
                stores::write(&dir(scope, workload, blocks), &table, value_len, &options)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for (workload, value_len, part) in WORKLOADS {
        for (blocks, block_size) in BLOCKS {
            if stores::options_with_blocks(block_size).is_some() {
                let name = format!("t {workload} {blocks}");
                let dir = dir(scope, workload, blocks);
                measure(scope.round, scope.entries / part, value_len, &name, dir, figures)?;
            }
        }
    }
    Ok(())
}

/// Measures opening a table, again and again.
#[expect(clippy::cast_precision_loss, reason = "a count of openings")]
fn open(figures: &mut Figures, name: &str, open_once: impl Fn() -> Result<()>) -> Result<()> {
    let start = Counters::now()?;
    for _ in 0..OPENINGS {
        open_once()?;
    }
    let ns = start.elapsed()?.processor_ns / OPENINGS as f64;
    figures.add(format!("{name}, µs"), ns / 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "a count of lookups")]
fn measure(
    round: u64,
    entries: usize,
    value_len: usize,
    name: &str,
    dir: PathBuf,
    figures: &mut Figures,
) -> Result<()> {
    let catalog = Catalog::read(dir.as_path())?;
    let [table] = catalog.tables.as_slice() else { return Err("there is one table".into()) };
    let (path, meta) = (dir.join(FILE), names::description(table)?);
    let cache = BlockCache::new((entries * (KEY_LEN + value_len) / 10) as u64);
    let options = ReaderOptions::default().filter(QuotientFilter::default()).cache(cache);
    open(figures, &format!("{name} open a file"), || {
        StaticSortedFile::open(path.as_path(), &meta, &options)?;
        Ok(())
    })?;
    open(figures, &format!("{name} open a set"), || {
        Ok(SstSet::open(dir.as_path(), &options)?.open_all()?)
    })?;

    let table = catalog.open_table(table, &options)?;
    let mut random = Random::new(round + 1);
    let mut keys = |count| -> Vec<_> { (0..count).map(|_| key(random.below(entries))).collect() };
    let (warm, measured) = (keys(entries), keys(LOOKUPS));
    let get = |keys: &[stores::Key]| -> Result<f64> {
        let start = Counters::now()?;
        let mut bytes = 0;
        for key in keys {
            if let Lookup::Value(value) = table.get(key)? {
                bytes += value.len();
            }
        }
        if bytes != keys.len() * value_len {
            return Err(format!("{name}: values of {bytes} bytes were found").into());
        }
        Ok(start.elapsed()?.processor_ns / keys.len() as f64)
    };
    get(&warm)?;
    figures.add(format!("{name} hit, small cache, ns"), get(&measured)?)
}
