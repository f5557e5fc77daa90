//! Condition (h), many tables with everything in memory, and condition (j), scans and merges of
//! these tables. A store that cannot keep tables apart takes part with all entries in one table.

use std::fs;
use std::path::{Path, PathBuf};

use sst_benches::Workload;
use sst_benches::access::Access;
use sst_benches::store::Store;
use sst_benches::workload::{Batch, Data, Row};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::{Result, Scope};

/// Numbers of tables, number of keys that are looked up in each way, and number of keys of one
/// `multi_get`. All are equal to those for our store.
const TABLES: [usize; 4] = [1, 10, 100, 1000];
const LOOKUPS: usize = 20_000;
const GROUP: usize = 1000;
/// Size of the cache in bytes. All blocks fit.
const CACHE: u64 = 1 << 30;

fn data(scope: Scope<'_>) -> Data {
    Data::new(Workload { name: "h", entries: scope.entries, key_len: 16, value_len: 8 })
}

fn dir(scope: Scope<'_>, shape: &str, tables: usize) -> PathBuf {
    scope.dir.join(format!("{shape}-{tables}-{}", scope.entries))
}

/// Divides the rows into tables. The rows of each table are in the order of their keys.
fn cut<'d>(data: &'d Data, shape: &str, tables: usize) -> Vec<Vec<Row<'d>>> {
    let rows: Vec<_> = data.iter_by_key().collect();
    if shape == "disjoint" {
        return rows.chunks(rows.len().div_ceil(tables)).map(<[_]>::to_vec).collect();
    }
    (0..tables).map(|table| rows.iter().skip(table).step_by(tables).copied().collect()).collect()
}

pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    let data = data(scope);
    for shape in ["disjoint", "overlapping"] {
        for tables in TABLES {
            build(scope, &data, shape, tables, &dir(scope, shape, tables))?;
        }
    }
    Ok(())
}

/// Writes the tables. Does nothing if they exist, or if the store cannot keep so many tables apart.
fn build(scope: Scope<'_>, data: &Data, shape: &str, tables: usize, dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    if tables > 1 {
        if !scope.store.build_tables(&cut(data, shape, tables), dir)? {
            fs::remove_dir(dir)?;
        }
        return Ok(());
    }
    scope.store.build(data, dir)?;
    scope.store.publish(data, dir)
}

pub(crate) fn look_up(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let data = data(scope);
    for shape in ["disjoint", "overlapping"] {
        for tables in TABLES {
            let dir = dir(scope, shape, tables);
            if dir.exists() {
                measure(scope, &data, &dir, &format!("h {shape} {tables}"), figures)?;
            }
        }
    }
    Ok(())
}

fn measure(
    scope: Scope<'_>,
    data: &Data,
    dir: &Path,
    name: &str,
    figures: &mut Figures,
) -> Result<()> {
    let start = Counters::now()?;
    let store = scope.store.open(data, dir, CACHE)?;
    figures.add(format!("{name} open, µs"), start.elapsed()?.processor_ns / 1e3)?;
    // One lookup of every key reads all data, so that no later lookup waits for the disk or fills
    // the cache.
    store.get(data.keys())?;
    let (present, absent) =
        (data.present(Access::Uniform, LOOKUPS, scope.round), data.absent(LOOKUPS, scope.round));
    for (operation, keys) in [("hit", &present), ("miss", &absent)] {
        let ns = time(&*store, keys, |store| store.get(&keys.keys))?;
        figures.add(format!("{name} {operation}, ns"), ns)?;
        let ns = time(&*store, keys, |store| store.multi_get(&keys.keys, GROUP))?;
        figures.add(format!("{name} multi_get {operation}, ns"), ns)?;
    }
    Ok(())
}

/// Returns the processor time per key in nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "a count of lookups")]
fn time(
    store: &dyn Store,
    keys: &Batch,
    look_up: impl Fn(&dyn Store) -> Result<sst_benches::store::Tally>,
) -> Result<f64> {
    let start = Counters::now()?;
    let found = look_up(store)?;
    let ns = start.elapsed()?.processor_ns / LOOKUPS as f64;
    if found == keys.expected { Ok(ns) } else { Err("a lookup gave a wrong answer".into()) }
}

pub(crate) fn walk(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let data = data(scope);
    for tables in TABLES {
        let dir = dir(scope, "overlapping", tables);
        if !dir.exists() {
            continue;
        }
        let store = scope.store.open(&data, &dir, CACHE)?;
        // The first scan brings everything into memory.
        store.scan()?;
        let start = Counters::now()?;
        let Some(found) = store.scan()? else { continue };
        let ns = start.elapsed()?.processor_ns / scope.entries as f64;
        if found.found != scope.entries as u64 {
            return Err(format!("walked {} of {} entries", found.found, scope.entries).into());
        }
        figures.add(format!("j walk {tables}, ns"), ns)?;
    }
    Ok(())
}

pub(crate) fn merge(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let data = data(scope);
    // A merge of one table is not measured: RocksDB would only move the file.
    for tables in TABLES.into_iter().filter(|tables| *tables > 1) {
        let out = tempfile::tempdir_in(scope.dir)?;
        if !scope.store.build_tables(&cut(&data, "overlapping", tables), out.path())? {
            continue;
        }
        let start = Counters::now()?;
        scope.store.merge_tables(out.path())?;
        let ns = start.elapsed()?.processor_ns / scope.entries as f64;
        figures.add(format!("j merge {tables}, ns"), ns)?;
    }
    Ok(())
}
