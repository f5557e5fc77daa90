//! Counters of this process: time, reads from the disk, page faults and waits.

use std::fs;
use std::time::Instant;

use cpu_time::ProcessTime;

use crate::Result;
use crate::figures::Figures;

/// The values of the counters at one moment.
pub(crate) struct Counters {
    wall: Instant,
    processor: ProcessTime,
    kernel: [u64; 3],
}

/// The differences of the counters between two moments.
pub(crate) struct Cost {
    /// Nanoseconds of wall-clock time.
    pub(crate) wall_ns: f64,
    /// Nanoseconds of processor time of all threads, including time in the kernel.
    pub(crate) processor_ns: f64,
    /// Number of bytes read from the disk, including read-ahead by the kernel.
    pub(crate) read_bytes: f64,
    /// Number of page faults that waited for the disk.
    pub(crate) major_faults: f64,
    /// Number of times that a thread gave up its processor to wait.
    pub(crate) waits: f64,
}

impl Counters {
    pub(crate) fn now() -> Result<Self> {
        let kernel = kernel()?;
        Ok(Self { kernel, wall: Instant::now(), processor: ProcessTime::now() })
    }

    #[expect(clippy::cast_precision_loss, reason = "measurements")]
    pub(crate) fn elapsed(&self) -> Result<Cost> {
        let (wall, processor) = (self.wall.elapsed(), self.processor.elapsed());
        let [before, now] = [self.kernel, kernel()?];
        let [read_bytes, major_faults, waits] =
            [(before[0], now[0]), (before[1], now[1]), (before[2], now[2])]
                .map(|(before, now)| (now - before) as f64);
        Ok(Cost {
            wall_ns: wall.as_nanos() as f64,
            processor_ns: processor.as_nanos() as f64,
            read_bytes,
            major_faults,
            waits,
        })
    }
}

/// Sums over the samples of one cold operation.
#[derive(Default)]
pub(crate) struct Sums {
    wall_us: f64,
    read_kib: f64,
    major_faults: f64,
    waits: f64,
}

impl Sums {
    /// Adds a sample.
    pub(crate) fn add(&mut self, cost: Cost) {
        self.wall_us += cost.wall_ns / 1e3;
        self.read_kib += cost.read_bytes / 1024.0;
        self.major_faults += cost.major_faults;
        self.waits += cost.waits;
    }

    /// Adds the figures of one operation: the sums divided by `operations`, the number of
    /// operations in all samples.
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

/// Returns the number of bytes read from the disk, of major faults, and of voluntary context
/// switches, as Linux counts them.
fn kernel() -> Result<[u64; 3]> {
    let field = |path: &str, name: &str| -> Result<u64> {
        let text = fs::read_to_string(path)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.ok_or_else(|| format!("{path} has no {name}"))?.trim().parse()?)
    };
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may contain spaces. The number of major faults is
    // the tenth field after it.
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
        let cost = start.elapsed().unwrap();
        assert!(cost.wall_ns > 0.0 && cost.read_bytes >= 0.0 && cost.waits >= 0.0);
    }
}
