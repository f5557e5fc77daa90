//! Time and memory of one run.

use std::fs;
use std::time::Instant;

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use crate::store::BenchError;

/// Time and memory of a bulk load, from the start of its process on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Taken {
    /// Seconds on the wall.
    pub seconds: f64,
    /// Seconds of processor time of all threads.
    pub cpu_seconds: f64,
    /// Highest resident memory of the process in bytes, on systems that count it.
    pub peak_memory: Option<u64>,
    /// Tables written.
    pub tables: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Bytes that went through temporary files.
    pub spilled_bytes: u64,
}

impl Taken {
    /// Measures `work`, which fills in the numbers of tables and bytes.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn measure(
        work: impl FnOnce(&mut Self) -> Result<(), BenchError>,
    ) -> Result<Self, BenchError> {
        let (start, cpu) = (Instant::now(), ProcessTime::now());
        let mut taken = Self::default();
        work(&mut taken)?;
        taken.seconds = start.elapsed().as_secs_f64();
        taken.cpu_seconds = cpu.elapsed().as_secs_f64();
        taken.peak_memory = peak_memory();
        Ok(taken)
    }

    /// One line of JSON, for the process that started this one.
    ///
    /// # Errors
    ///
    /// None that is known of.
    pub fn to_json(&self) -> Result<String, BenchError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// A field of Linux's status of the process.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
