//! The results of a run.

use serde::{Deserialize, Serialize};

/// The figures of one contender with one workload. Times are processor time unless a field says
/// otherwise. `None` means that the figure does not apply.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// Name of the contender.
    pub(crate) name: String,
    /// Description of its configuration.
    pub(crate) setup: String,
    /// The reason why there are no further figures, if the contender has failed.
    pub(crate) failure: Option<String>,
    /// Nanoseconds per entry to build and close, summed over all threads.
    pub(crate) build_ns: Option<f64>,
    /// Number of bytes of all files.
    pub(crate) disk_bytes: Option<u64>,
    /// Microseconds to open.
    pub(crate) open_us: Option<f64>,
    /// Nanoseconds per lookup that finds its key; keys uniform.
    pub(crate) hit_ns: Option<f64>,
    /// Like `hit_ns`, with Zipf-distributed keys.
    pub(crate) hit_zipf_ns: Option<f64>,
    /// Nanoseconds per lookup of an absent key.
    pub(crate) miss_ns: Option<f64>,
    /// Nanoseconds per key of `multi_get`, 1,000 keys at a time.
    pub(crate) multi_get_ns: Option<f64>,
    /// Nanoseconds per entry of a full scan.
    pub(crate) scan_ns: Option<f64>,
    /// Lookups of two threads per second of wall-clock time, as a multiple of those of one thread.
    pub(crate) two_threads_hit: Option<f64>,
    /// Like `two_threads_hit`, for absent keys.
    pub(crate) two_threads_miss: Option<f64>,
    /// Processor time per lookup of one thread, divided by that of two threads at once, times two.
    /// It is the speed that two threads would reach if each had its own core.
    pub(crate) two_threads_hit_cpu: Option<f64>,
    /// Entries per second of wall-clock time of two threads that write one file each, as a multiple
    /// of those of one thread with one file.
    #[serde(default)]
    pub(crate) two_files_build: Option<f64>,
    /// Nanoseconds per hit with a cache that holds a tenth of the bytes; keys uniform.
    pub(crate) small_cache_hit_ns: Option<f64>,
    /// Like `small_cache_hit_ns`, with Zipf-distributed keys.
    pub(crate) small_cache_hit_zipf_ns: Option<f64>,
    /// Number of blocks per hit that were not in the small cache; keys uniform.
    #[serde(default)]
    pub(crate) small_cache_loads: Option<f64>,
    /// Peak memory of building, in bytes.
    pub(crate) build_memory: Option<u64>,
    /// Bytes of memory, without mapped files, after a lookup of every key with a cache that holds a
    /// tenth.
    pub(crate) read_memory: Option<u64>,
}

/// The minimum times of the machine for one workload.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Floor {
    /// Nanoseconds for one dependent random read in a buffer as large as the entries.
    pub(crate) read_ns: f64,
    /// Nanoseconds to hash a key.
    pub(crate) hash_ns: Option<f64>,
    /// Gigabytes per second of copying blocks.
    pub(crate) copy_gb_s: Option<f64>,
    /// Gigabytes per second of computing the CRC-32 of blocks.
    pub(crate) checksum_gb_s: Option<f64>,
    /// Gigabytes per second of compressing blocks with LZ4, counted in uncompressed bytes.
    pub(crate) compress_gb_s: Option<f64>,
    /// Gigabytes per second of decompressing LZ4 blocks, counted in uncompressed bytes.
    pub(crate) decompress_gb_s: Option<f64>,
    /// Nanoseconds to decompress an LZ4 block of average length.
    #[serde(default)]
    pub(crate) decompress_block_ns: Option<f64>,
    /// Gigabytes per second of writing the stored bytes without fsync.
    pub(crate) write_gb_s: Option<f64>,
    /// Nanoseconds per entry for one copy, LZ4, checksums, the filter, and a write without fsync.
    pub(crate) build_ns: Option<f64>,
    /// Like `build_ns`, without LZ4.
    pub(crate) build_raw_ns: Option<f64>,
    /// Uncompressed length in bytes of the blocks that are stored with LZ4.
    pub(crate) compressible_bytes: Option<u64>,
}

/// The results of one workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct WorkloadOutcome {
    /// Name of the workload.
    pub(crate) name: String,
    /// Description of its shape.
    pub(crate) about: String,
    /// Number of entries.
    pub(crate) entries: usize,
    /// Number of bytes of keys and values.
    pub(crate) bytes: usize,
    /// Size of the small cache in bytes.
    pub(crate) small_cache: u64,
    /// The physical floor.
    pub(crate) floor: Floor,
    /// The figures of each contender.
    pub(crate) outcomes: Vec<Outcome>,
}

impl WorkloadOutcome {
    /// Returns the figures of one contender, if it took part.
    #[must_use]
    pub(crate) fn of(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

/// The results of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    /// Start of the run, in UTC.
    pub(crate) date: String,
    /// Description of the machine.
    pub(crate) machine: String,
    /// The arguments of the command.
    pub(crate) arguments: String,
    /// Number of rounds.
    pub(crate) rounds: usize,
    /// Wall-clock time divided by processor time of a single-threaded part: 1.0 on a quiet machine.
    pub(crate) busyness: f64,
    /// The contenders that could not take part, each with the reason.
    pub(crate) absent: Vec<String>,
    /// The results of the workloads.
    pub(crate) workloads: Vec<WorkloadOutcome>,
}
