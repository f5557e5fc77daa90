//! Condition (i): a service that loads increments for days. A base is followed by 1,000 increments,
//! each a thousandth of it; half of an increment's entries are new, half replace an older one.
//! After each, the newest layers are merged by policy, as `sst merge --auto` does.
//!
//! Commits before the policy do not merge: they show what lookups cost without.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sst_benches::random::Random;
use sst_reader::{Catalog, SstSet};
use sst_writer::{Publisher, PublisherOptions};

#[cfg(not(sst_before_monitor))]
use crate::counters::Counters;
use crate::figures::Figures;
use crate::names::publish;
use crate::stores;
use crate::tables;
use crate::{Result, Scope};

/// Length of a value in bytes.
const VALUE_LEN: usize = 8;
/// Number of entries of the base as a multiple of the entries in the other conditions.
const TIMES: usize = 10;
/// Number of tables of the base, side by side.
const BASE_TABLES: usize = 4;
/// Number of increments.
const INCREMENTS: usize = 1000;
/// Number of increments after which the layers are reported once more.
const BETWEEN_REPORTS: usize = 100;

/// The work that was done, and the answers seen, while increments were loaded.
#[derive(Default)]
struct History {
    /// Bytes of the tables of all increments.
    loaded: f64,
    /// Bytes of the tables that merges wrote.
    merged: f64,
    merges: u32,
    /// Nanoseconds of processor time of all merges.
    merge_ns: f64,
    /// The most layers after an increment and its merges.
    layers: usize,
    /// The highest ratio of the bytes of all tables to those of the live entries.
    space: f64,
}

fn dir(scope: Scope<'_>) -> PathBuf {
    scope.dir.join(format!("increments-{}", TIMES * scope.entries))
}

/// The file with the figures of [`prepare`], which is written last.
fn record(scope: Scope<'_>) -> PathBuf {
    dir(scope).with_extension("json")
}

/// Number of new entries of an increment, and of entries that replace older ones.
const fn half(scope: Scope<'_>) -> usize {
    TIMES * scope.entries / INCREMENTS / 2
}

#[expect(clippy::cast_precision_loss, reason = "counts as figures")]
pub(crate) fn prepare(scope: Scope<'_>) -> Result<()> {
    if record(scope).exists() {
        return Ok(());
    }
    let (dir, options) = (dir(scope), stores::options());
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let base = TIMES * scope.entries;
    stores::write(&dir, &stores::disjoint(base, BASE_TABLES), VALUE_LEN, &options)?;
    let (_, mut bytes) = layers_and_bytes(&dir)?;
    let bytes_of_entry = bytes / base as f64;
    let mut publisher = Publisher::open(&dir, PublisherOptions::default())?;
    let (mut history, mut figures) = (History::default(), Figures::default());
    let mut random = Random::new(1);
    for number in 0..INCREMENTS {
        let known = base + number * half(scope);
        let replaced = (0..half(scope)).map(|_| random.below(known));
        let numbers: BTreeSet<usize> = (known..known + half(scope)).chain(replaced).collect();
        let numbers: Vec<usize> = numbers.into_iter().collect();
        let mut commit = publisher.begin();
        stores::add_table(&mut commit, &numbers, VALUE_LEN, &options)?;
        publish(commit)?;
        let (mut layers, loaded) = layers_and_bytes(&dir)?;
        history.loaded += loaded - bytes;
        bytes = loaded;
        if merge(&mut publisher, &mut history)? {
            (layers, bytes) = layers_and_bytes(&dir)?;
        }
        let live = (known + half(scope)) as f64 * bytes_of_entry;
        history.layers = history.layers.max(layers);
        history.space = history.space.max(bytes / live);
        if (number + 1) % BETWEEN_REPORTS == 0 {
            figures.add(format!("i layers after {:04} increments", number + 1), layers as f64)?;
        }
    }
    history.report(&mut figures)?;
    Ok(fs::write(record(scope), figures.to_json()?)?)
}

impl History {
    #[expect(clippy::cast_precision_loss, reason = "counts as figures")]
    fn report(&self, figures: &mut Figures) -> Result<()> {
        figures.add("i layers at most".to_owned(), self.layers as f64)?;
        figures.add("i space, bytes per live byte at most".to_owned(), self.space)?;
        if self.merges > 0 {
            let written = self.merged / self.loaded;
            figures.add("i merges, bytes written per byte loaded".to_owned(), written)?;
            figures.add("i merges, number".to_owned(), self.merges.into())?;
            let ns = self.merge_ns / self.merged;
            figures.add("i merges, ns per byte written".to_owned(), ns)?;
        }
        Ok(())
    }
}

/// The number of layers of a store, and the bytes of its live tables.
#[expect(clippy::cast_precision_loss, reason = "bytes as figures")]
fn layers_and_bytes(dir: &Path) -> Result<(usize, f64)> {
    let catalog = Catalog::read(dir)?;
    let bytes: u64 = catalog.tables.iter().map(|table| table.record.file_size).sum();
    let layers = SstSet::from_catalog(catalog, 0, &tables::options()).layer_count();
    Ok((layers, bytes as f64))
}

/// Merges what the policy wants. Returns whether that is anything.
#[cfg(not(sst_before_monitor))]
#[expect(clippy::cast_precision_loss, reason = "bytes as figures")]
fn merge(publisher: &mut Publisher, history: &mut History) -> Result<bool> {
    let (start, before) = (Counters::now()?, history.merges);
    sst_merge::auto_compact(
        publisher,
        0,
        &sst_merge::MergePolicy::default(),
        &sst_merge::MergeOptions::default().writer(stores::options()),
        &sst_reader::ReaderOptions::default(),
        &sst_writer::Monitor::default(),
        |_, merged| {
            history.merged += merged.report.table_bytes as f64;
            history.merges += 1;
        },
    )?;
    history.merge_ns += start.elapsed()?.processor_ns;
    Ok(history.merges > before)
}

#[cfg(sst_before_monitor)]
fn merge(_: &mut Publisher, _: &mut History) -> Result<bool> {
    Ok(false)
}

/// Reports what [`prepare`] has seen, and measures lookups in what it left.
pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    figures.add_json(&fs::read(record(scope))?)?;
    let entries = TIMES * scope.entries + INCREMENTS * half(scope);
    tables::measure(scope.round, entries, "i", &dir(scope), figures)
}
