//! Building, sizes on disk, and opening. Every store is verified once.

use std::path::Path;

use sst_writer::table::Compression;

use super::even_start::{warm_memory, write_back};
use super::floors::WriteFloor;
use super::{ContenderRun, Floor, RunOptions};
use crate::Figure;
use crate::contenders::fits_one_table;
use crate::floor::TableBlocks;
use crate::store::{BenchError, Writers};
use crate::workload::Data;

/// Builds all stores `rounds` times, each time from an empty directory. The stores of the last
/// round remain.
pub(super) fn measure(
    data: &Data,
    runs: &mut [ContenderRun<'_>],
    options: RunOptions,
    dir: &Path,
) -> Result<Floor, BenchError> {
    // Sorts before the measurement, for stores that need the order of the keys.
    data.sort_by_key();
    let mut blocks = fits_one_table(data).then(|| TableBlocks::new(data, dir)).transpose()?;
    let mut write_floor = WriteFloor::default();
    let mut figures = vec![Figure::default(); runs.len()];
    let mut by_two = vec![ByTwo::default(); runs.len()];
    for _ in 0..options.rounds {
        if let Some(blocks) = &mut blocks {
            write_floor.sample(blocks, data, dir)?;
        }
        for (run, figure) in runs.iter_mut().zip(&mut figures) {
            if run.is_ok() && run.contender.is_built() {
                std::fs::remove_dir_all(&run.dir)?;
                std::fs::create_dir(&run.dir)?;
                warm_memory(dir, data.byte_len())?;
                let (contender, dir) = (run.contender, run.dir.as_path());
                let built = figure.sample_process(data.entries(), || contender.build(data, dir));
                run.record(built);
            }
        }
        for (run, ratios) in runs.iter_mut().zip(&mut by_two) {
            if run.is_ok() && run.contender.has_two_writers() {
                let built = ratios.sample(data, run);
                run.record(built);
            }
        }
    }
    for ((run, figure), by_two) in runs.iter_mut().zip(&figures).zip(&by_two) {
        run.outcome.build_ns = figure.median();
        run.outcome.two_files_build = by_two.0.median();
        if !run.contender.is_built() {
            let copied = run.contender.build(data, &run.dir);
            run.record(copied);
        }
        if run.is_ok() {
            let opened = open_and_verify(data, run, options);
            run.record(opened);
        }
    }
    Ok(write_floor.finish(blocks.as_ref()))
}

/// The speed of two threads that write one file each, as a multiple of the speed of one thread, in
/// wall-clock time.
#[derive(Clone, Default)]
struct ByTwo(Figure);

impl ByTwo {
    /// Builds with one thread, then with two, and removes the files.
    fn sample(&mut self, data: &Data, run: &ContenderRun<'_>) -> Result<(), BenchError> {
        let time = |writers| {
            let dir = tempfile::tempdir_in(&run.dir)?;
            write_back();
            warm_memory(dir.path(), data.byte_len())?;
            let wall = run.contender.time_writers(data, dir.path(), writers)?;
            Ok::<_, BenchError>(wall.as_secs_f64())
        };
        // The first build after the builds of other contenders takes up to three times as long,
        // even in warmed memory, so it is not measured.
        time(Writers::Alone)?;
        self.0.push(time(Writers::Alone)? / time(Writers::TwoFiles)?);
        Ok(())
    }
}

fn open_and_verify(
    data: &Data,
    run: &mut ContenderRun<'_>,
    options: RunOptions,
) -> Result<(), BenchError> {
    let contender = run.contender;
    let cache = data.byte_len() as u64;
    if contender.has_files() {
        run.outcome.disk_bytes = Some(bytes_below(&run.dir)?);
    }
    contender.publish(data, &run.dir)?;
    contender.open(data, &run.dir, cache)?.verify(data)?;
    if contender.has_files() {
        let mut open = Figure::default();
        for _ in 0..options.rounds * 3 {
            let store = open.sample_process(1, || contender.open(data, &run.dir, cache))?;
            drop(store);
        }
        run.outcome.open_us = open.median().map(|nanoseconds| nanoseconds / 1000.0);
    }
    Ok(())
}

/// Returns the number of bytes of all files in a directory and its subdirectories.
fn bytes_below(dir: &Path) -> Result<u64, BenchError> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// The compressions of the two floors of writing.
pub(super) const FLOORS: [Compression; 2] = [Compression::Lz4, Compression::None];
