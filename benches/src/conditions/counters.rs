//! Time, reads from the disk, faults and waits of this process.

use std::fs;
use std::time::Instant;

use cpu_time::ProcessTime;

use crate::Result;
use crate::figures::Figures;

/// The counters of the process at one moment.
pub(crate) struct Counters {
    wall: Instant,
    processor: ProcessTime,
    kernel: [u64; 3],
}

/// The difference between two moments.
pub(crate) struct Taken {
    /// Nanoseconds on the wall.
    pub(crate) wall_ns: f64,
    /// Nanoseconds of processor time, of all threads, in the system too.
    pub(crate) processor_ns: f64,
    /// Bytes read from the disk, those that the kernel read ahead included.
    pub(crate) read_bytes: f64,
    /// Page faults that waited for the disk.
    pub(crate) major_faults: f64,
    /// Times that a thread gave up its processor to wait.
    pub(crate) waits: f64,
}

impl Counters {
    pub(crate) fn now() -> Result<Self> {
        let kernel = kernel()?;
        Ok(Self { kernel, wall: Instant::now(), processor: ProcessTime::now() })
    }

    #[expect(clippy::cast_precision_loss, reason = "measurements")]
    pub(crate) fn taken(&self) -> Result<Taken> {
        let (wall, processor) = (self.wall.elapsed(), self.processor.elapsed());
        let [before, now] = [self.kernel, kernel()?];
        let [read_bytes, major_faults, waits] =
            [(before[0], now[0]), (before[1], now[1]), (before[2], now[2])]
                .map(|(before, now)| (now - before) as f64);
        Ok(Taken {
            wall_ns: wall.as_nanos() as f64,
            processor_ns: processor.as_nanos() as f64,
            read_bytes,
            major_faults,
            waits,
        })
    }
}

/// Sums over samples of a cold operation.
#[derive(Default)]
pub(crate) struct Sums {
    wall_us: f64,
    read_kib: f64,
    major_faults: f64,
    waits: f64,
}

impl Sums {
    /// Adds a sample.
    pub(crate) fn add(&mut self, taken: Taken) {
        self.wall_us += taken.wall_ns / 1e3;
        self.read_kib += taken.read_bytes / 1024.0;
        self.major_faults += taken.major_faults;
        self.waits += taken.waits;
    }

    /// Adds the figures of one operation, of which there were so many in all samples.
    #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
    pub(crate) fn report(
        &self,
        name: &str,
        operations: usize,
        figures: &mut Figures,
    ) -> Result<()> {
        for (unit, sum) in [
            ("µs wall", self.wall_us),
            ("KiB read", self.read_kib),
            ("major faults", self.major_faults),
            ("waits", self.waits),
        ] {
            figures.add(format!("{name}, {unit}"), sum / operations as f64)?;
        }
        Ok(())
    }
}

/// Bytes read from the disk, major faults, and voluntary context switches: Linux counts them.
fn kernel() -> Result<[u64; 3]> {
    let field = |path: &str, name: &str| -> Result<u64> {
        let text = fs::read_to_string(path)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.ok_or_else(|| format!("{path} has no {name}"))?.trim().parse()?)
    };
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in brackets, may have blanks in it; major faults are ten fields on.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/self/stat has no name")?;
    let faults = fields.split(' ').nth(9).ok_or("/proc/self/stat is short")?.parse()?;
    Ok([
        field("/proc/self/io", "read_bytes:")?,
        faults,
        field("/proc/self/status", "voluntary_ctxt_switches:")?,
    ])
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_page_cache_are_counted() {
        let start = Counters::now().unwrap();
        let taken = start.taken().unwrap();
        assert!(taken.wall_ns > 0.0 && taken.read_bytes >= 0.0 && taken.waits >= 0.0);
    }
}
