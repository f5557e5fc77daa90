//! Time and memory of one run.

use std::fs;
use std::time::Instant;

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use crate::store::BenchError;

/// Time and memory of a bulk load, counted from the start of its process.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Cost {
    /// Seconds of wall-clock time.
    pub seconds: f64,
    /// Seconds of processor time of all threads.
    pub cpu_seconds: f64,
    /// Highest resident memory of the process in bytes. `None` where the system does not report it.
    pub peak_memory: Option<u64>,
    /// Number of tables written.
    pub tables: u64,
    /// Total size of these tables in bytes.
    pub file_bytes: u64,
    /// Number of bytes that were written to temporary files.
    pub spilled_bytes: u64,
}

impl Cost {
    /// Runs `work` and measures it. `work` sets the numbers of tables and bytes.
    ///
    /// # Errors
    ///
    /// The error of `work`.
    pub fn measure(
        work: impl FnOnce(&mut Self) -> Result<(), BenchError>,
    ) -> Result<Self, BenchError> {
        let (start, cpu) = (Instant::now(), ProcessTime::now());
        let mut cost = Self::default();
        work(&mut cost)?;
        cost.seconds = start.elapsed().as_secs_f64();
        cost.cpu_seconds = cpu.elapsed().as_secs_f64();
        cost.peak_memory = peak_memory();
        Ok(cost)
    }

    /// Returns one line of JSON for the parent process.
    ///
    /// # Errors
    ///
    /// The error of the JSON encoder. No input is known that causes one.
    pub fn to_json(&self) -> Result<String, BenchError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Returns the highest resident memory that Linux reports for this process, in bytes.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
