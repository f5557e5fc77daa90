//! The floor of cold lookups of many keys: the time in which the device gives as many bytes by as
//! many reads at random positions, with the number of reads in flight that suits it best.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sst_benches::random::Random;

use crate::Result;
use crate::counters::Counters;
use crate::figures::Figures;
use crate::pages::drop_pages;

/// Numbers of reads in flight that are tried.
const DEPTHS: [usize; 6] = [1, 4, 8, 16, 32, 64];
/// Reads start at a multiple of this number of bytes, the size of a page.
const PAGE: u64 = 4096;

/// Adds the lowest time over all depths, in microseconds of wall-clock time for a key. A key takes
/// one read of each of these lengths, which are numbers of bytes. All reads go to files of `dir`,
/// whose pages are dropped before each depth.
#[expect(clippy::cast_precision_loss, reason = "a count of keys")]
pub(crate) fn floor(
    name: &str,
    dir: &Path,
    lengths: [usize; 2],
    keys: usize,
    seed: u64,
    figures: &mut Figures,
) -> Result<()> {
    let files = tables(dir)?;
    let mut random = Random::new(seed);
    let mut best = f64::INFINITY;
    for depth in DEPTHS {
        let mut reads = Vec::with_capacity(keys * lengths.len());
        for _ in 0..keys {
            for len in lengths {
                let (file, file_len) =
                    files.get(random.below(files.len())).ok_or("the store has no table")?;
                let pages = file_len.saturating_sub(len as u64) / PAGE;
                let page = random.below(usize::try_from(pages)?.max(1)) as u64;
                reads.push((file, page * PAGE, len));
            }
        }
        drop_pages(dir)?;
        let start = Counters::now()?;
        read_all(&reads, depth)?;
        best = best.min(start.elapsed()?.wall_ns / 1e3 / keys as f64);
    }
    figures.add(format!("{name}, µs wall"), best)
}

/// Opens the tables of a directory, and returns their lengths in bytes.
fn tables(dir: &Path) -> Result<Vec<(File, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let file = File::open(path)?;
            // Otherwise the kernel reads ahead, more than is asked for.
            #[cfg(target_os = "linux")]
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
            let len = file.metadata()?.len();
            files.push((file, len));
        }
    }
    Ok(files)
}

/// Does all reads, with `depth` of them in flight.
fn read_all(reads: &[(&File, u64, usize)], depth: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut buffer = Vec::new();
        while let Some((file, offset, len)) = reads.get(next.fetch_add(1, Ordering::Relaxed)) {
            buffer.resize(*len, 0);
            read_at(file, &mut buffer, *offset)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..depth).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread that reads has panicked")?)
    })
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<()> {
    Ok(std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)?)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> Result<()> {
    Err("cold reads are measured on Unix".into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_floor_reads_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("00000001.sst"), vec![1; 1 << 20]).unwrap();
        let mut figures = Figures::default();
        floor("floor", dir.path(), [4096, 8192], 10, 1, &mut figures).unwrap();
        assert!(figures.to_json().unwrap().contains("floor, µs wall"));
        assert!(floor("none", &dir.path().join("none"), [1, 1], 1, 1, &mut figures).is_err());
    }

    #[test]
    fn a_read_past_the_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        fs::write(&path, [0; 10]).unwrap();
        let file = File::open(&path).unwrap();
        assert!(read_all(&[(&file, 0, 10)], 4).is_ok());
        assert!(read_all(&[(&file, 0, 11)], 4).is_err());
    }
}
