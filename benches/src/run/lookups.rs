//! Lookups, scans and two threads at once, with a cache that holds everything and with one that
//! holds a tenth.

use std::hint::black_box;

use cpu_time::ThreadTime;

use super::{ContenderRun, Floor, GROUP, RunOptions, lookups};
use crate::Figure;
use crate::access::Access;
use crate::floor::DependentReads;
use crate::side_by_side::side_by_side;
use crate::store::{BenchError, Store, Tally};
use crate::strings::Strings;
use crate::workload::{Batch, Data};

/// Returns the size in bytes of a cache that holds everything: twice the entries and 64 MiB,
/// because a block is larger than its entries.
fn large_cache(data: &Data) -> u64 {
    data.byte_len() as u64 * 2 + (64 << 20)
}

/// Returns the size in bytes of a cache that holds a tenth of the entries.
pub(super) fn small_cache(data: &Data) -> u64 {
    data.byte_len() as u64 / 10
}

/// The figures of one contender with the large cache.
#[derive(Clone, Default)]
struct Figures {
    hit: Figure,
    zipf: Figure,
    miss: Figure,
    multi_get: Figure,
    scan: Figure,
    two_hit: Figure,
    two_miss: Figure,
    two_hit_cpu: Figure,
}

/// The keys of one round, which are the same for every contender.
struct Batches {
    hit: Batch,
    other_hit: Batch,
    zipf: Batch,
    miss: Batch,
    other_miss: Batch,
}

impl Batches {
    fn new(data: &Data, round: u64) -> Self {
        let count = lookups(data.entries());
        Self {
            hit: data.present(Access::Uniform, count, round),
            other_hit: data.present(Access::Uniform, count, round + 1000),
            zipf: data.present(Access::Zipf, count, round + 2000),
            miss: data.absent(count, round + 3000),
            other_miss: data.absent(count, round + 4000),
        }
    }
}

/// Measures lookups and scans with everything cached. Returns how busy the machine was: the
/// wall-clock time of the floor divided by its processor time.
pub(super) fn measure(
    data: &Data,
    runs: &mut [ContenderRun<'_>],
    options: RunOptions,
    floor: &mut Floor,
) -> Result<f64, BenchError> {
    const NO_ROUNDS: &str = "nothing was measured without a round";
    let mut stores = open_all(data, runs, large_cache(data));
    let reads = DependentReads::new(data.byte_len());
    let (mut read, mut read_wall) = (Figure::default(), Figure::default());
    let mut figures = vec![Figures::default(); runs.len()];
    for round in 0..options.rounds as u64 {
        let batches = Batches::new(data, round);
        let steps = batches.hit.keys.count();
        read_wall.sample_wall(steps, || read.sample(steps, || reads.run(steps)));
        for ((run, store), figures) in runs.iter_mut().zip(&mut stores).zip(&mut figures) {
            let Some(opened) = store else { continue };
            let measured = one_round(opened.as_ref(), data, &batches, figures);
            if run.record(measured).is_none() {
                *store = None;
            }
        }
    }
    for (run, figures) in runs.iter_mut().zip(&figures) {
        let outcome = &mut run.outcome;
        outcome.hit_ns = figures.hit.median();
        outcome.hit_zipf_ns = figures.zipf.median();
        outcome.miss_ns = figures.miss.median();
        outcome.multi_get_ns = figures.multi_get.median();
        outcome.scan_ns = figures.scan.median();
        outcome.two_threads_hit = figures.two_hit.median();
        outcome.two_threads_miss = figures.two_miss.median();
        outcome.two_threads_hit_cpu = figures.two_hit_cpu.median();
    }
    floor.read_ns = read.median().ok_or(NO_ROUNDS)?;
    Ok(read_wall.median().ok_or(NO_ROUNDS)? / floor.read_ns)
}

/// The figures of one contender with the small cache.
#[derive(Clone, Default)]
struct SmallCache {
    uniform: Figure,
    zipf: Figure,
    /// Number of blocks that were not in the cache, per uniform hit.
    loads: Figure,
}

impl SmallCache {
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    fn one_round(
        &mut self,
        store: &dyn Store,
        uniform: &Batch,
        zipf: &Batch,
    ) -> Result<(), BenchError> {
        let before = store.blocks_loaded();
        get(store, uniform, &mut self.uniform)?;
        if let Some((before, after)) = before.zip(store.blocks_loaded()) {
            self.loads.push((after - before) as f64 / uniform.keys.count() as f64);
        }
        get(store, zipf, &mut self.zipf)
    }
}

/// Measures lookups with a cache that holds a tenth, for contenders that have a cache.
///
/// There are fewer lookups than with the large cache, because some stores need a tenth of a
/// millisecond to load a block.
pub(super) fn measure_small_cache(data: &Data, runs: &mut [ContenderRun<'_>], options: RunOptions) {
    let lookups = lookups(data.entries());
    let warm_up = data.present(Access::Uniform, lookups, 99);
    let mut stores: Vec<_> = runs
        .iter_mut()
        .map(|run| {
            let is_measured = run.is_ok() && run.contender.is_cached();
            is_measured.then(|| open(data, run, small_cache(data), &warm_up.keys)).flatten()
        })
        .collect();
    let mut figures = vec![SmallCache::default(); runs.len()];
    for round in 0..options.rounds as u64 {
        let uniform = data.present(Access::Uniform, lookups / 4, round + 100);
        let zipf = data.present(Access::Zipf, lookups / 4, round + 2100);
        for ((run, store), figures) in runs.iter_mut().zip(&mut stores).zip(&mut figures) {
            let Some(opened) = store else { continue };
            let measured = figures.one_round(opened.as_ref(), &uniform, &zipf);
            if run.record(measured).is_none() {
                *store = None;
            }
        }
    }
    for (run, figures) in runs.iter_mut().zip(&figures) {
        run.outcome.small_cache_hit_ns = figures.uniform.median();
        run.outcome.small_cache_hit_zipf_ns = figures.zipf.median();
        run.outcome.small_cache_loads = figures.loads.median();
    }
}

fn open_all<'d>(
    data: &'d Data,
    runs: &mut [ContenderRun<'_>],
    cache: u64,
) -> Vec<Option<Box<dyn Store + 'd>>> {
    let open_one = |run: &mut ContenderRun<'_>| {
        if run.is_ok() { open(data, run, cache, data.keys()) } else { None }
    };
    runs.iter_mut().map(open_one).collect()
}

/// Opens a store and looks up the keys of `warm_up`. Afterwards the blocks of these keys are
/// verified, and cached if there is room.
fn open<'d>(
    data: &'d Data,
    run: &mut ContenderRun<'_>,
    cache: u64,
    warm_up: &Strings,
) -> Option<Box<dyn Store + 'd>> {
    let opened = run.contender.open(data, &run.dir, cache).and_then(|store| {
        black_box(store.get(warm_up)?);
        Ok(store)
    });
    run.record(opened)
}

fn one_round(
    store: &dyn Store,
    data: &Data,
    batches: &Batches,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    get(store, &batches.hit, &mut figures.hit)?;
    get(store, &batches.zipf, &mut figures.zipf)?;
    get(store, &batches.miss, &mut figures.miss)?;
    let Batch { keys, expected } = &batches.hit;
    let found = figures.multi_get.sample(keys.count(), || store.multi_get(keys, GROUP))?;
    check_tally(found, *expected)?;
    let mut scan = Figure::default();
    if let Some(walked) = scan.sample(data.entries(), || store.scan())? {
        if walked.found != data.entries() as u64 {
            return Err(format!("a scan gave {} entries", walked.found).into());
        }
        figures.scan.append(scan);
    }
    // A first lookup of both batches makes the start equal for all contenders: otherwise some would
    // find more of their keys in the processor's caches than others.
    let (both_hit, both_miss) =
        ([&batches.hit, &batches.other_hit], [&batches.miss, &batches.other_miss]);
    at_once(store, &both_hit)?;
    let (one, one_cpu) = at_once(store, &[&batches.hit])?;
    let (two, two_cpu) = at_once(store, &both_hit)?;
    figures.two_hit.push(two / one);
    figures.two_hit_cpu.push(one_cpu / two_cpu * 2.0);
    at_once(store, &both_miss)?;
    let (one, _) = at_once(store, &[&batches.miss])?;
    let (two, _) = at_once(store, &both_miss)?;
    figures.two_miss.push(two / one);
    Ok(())
}

fn get(store: &dyn Store, batch: &Batch, figure: &mut Figure) -> Result<(), BenchError> {
    let found = figure.sample(batch.keys.count(), || store.get(&batch.keys))?;
    check_tally(found, batch.expected)
}

/// Compares a tally with the expected one, so that no wrong answer goes unnoticed in any round.
fn check_tally(found: Tally, expected: Tally) -> Result<(), BenchError> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("found {found:?}, not {expected:?}").into())
    }
}

/// Runs one thread per batch. Returns the lookups per second of wall-clock time, and the processor
/// time of one lookup.
#[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
fn at_once(store: &dyn Store, batches: &[&Batch]) -> Result<(f64, f64), BenchError> {
    let look_up = |batch: &Batch| {
        let start = ThreadTime::now();
        let found = store.get(&batch.keys)?;
        check_tally(found, batch.expected)?;
        Ok(start.elapsed())
    };
    let works: Vec<_> = batches.iter().map(|batch| move || look_up(batch)).collect();
    let works: Vec<_> = works.iter().map(|work| work as _).collect();
    let (times, wall) = side_by_side(&works)?;
    let count = batches.iter().map(|batch| batch.keys.count()).sum::<usize>() as f64;
    let cpu = times.iter().map(std::time::Duration::as_secs_f64).sum::<f64>();
    Ok((count / wall.as_secs_f64(), cpu / count))
}
