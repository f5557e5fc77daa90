//! The results of a run.

use serde::{Deserialize, Serialize};

/// Figures of one contender with one workload. Times are processor time unless said otherwise;
/// `None`: does not apply.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// The contender.
    pub(crate) name: String,
    /// Its configuration in words.
    pub(crate) setup: String,
    /// Why there are no more figures, if so.
    pub(crate) failure: Option<String>,
    /// Nanoseconds per entry to build and close, all threads together.
    pub(crate) build_ns: Option<f64>,
    /// Bytes of all files.
    pub(crate) disk_bytes: Option<u64>,
    /// Microseconds to open.
    pub(crate) open_us: Option<f64>,
    /// Nanoseconds per lookup that finds its key; keys uniform.
    pub(crate) hit_ns: Option<f64>,
    /// The same with Zipf-distributed keys.
    pub(crate) hit_zipf_ns: Option<f64>,
    /// Nanoseconds per lookup of a key that is not there.
    pub(crate) miss_ns: Option<f64>,
    /// Nanoseconds per key of `multi_get`, 1,000 keys at a time.
    pub(crate) multi_get_ns: Option<f64>,
    /// Nanoseconds per entry of a full scan.
    pub(crate) scan_ns: Option<f64>,
    /// Lookups per second on the wall of two threads, as a multiple of one thread's.
    pub(crate) two_threads_hit: Option<f64>,
    /// The same for keys that are not there.
    pub(crate) two_threads_miss: Option<f64>,
    /// Processor time per lookup of one thread divided by that of two at once, times two: what two
    /// threads would reach if each had a core of its own.
    pub(crate) two_threads_hit_cpu: Option<f64>,
    /// Entries per second on the wall of two threads that write a file each, as a multiple of one
    /// thread's with one file.
    #[serde(default)]
    pub(crate) two_files_build: Option<f64>,
    /// Nanoseconds per hit with a cache that holds a tenth of the bytes; keys uniform.
    pub(crate) small_cache_hit_ns: Option<f64>,
    /// The same with Zipf-distributed keys.
    pub(crate) small_cache_hit_zipf_ns: Option<f64>,
    /// Blocks that were not in the small cache, per hit; keys uniform.
    #[serde(default)]
    pub(crate) small_cache_loads: Option<f64>,
    /// Bytes of memory that building took at most.
    pub(crate) build_memory: Option<u64>,
    /// Bytes of memory beyond mapped files after looking up every key, with a cache that holds a
    /// tenth.
    pub(crate) read_memory: Option<u64>,
}

/// The least time that the machine needs, for one workload.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Floor {
    /// Nanoseconds for one dependent random read in as many bytes as the entries have.
    pub(crate) read_ns: f64,
    /// Nanoseconds to hash a key.
    pub(crate) hash_ns: Option<f64>,
    /// Gigabytes per second: copying blocks.
    pub(crate) copy_gb_s: Option<f64>,
    /// CRC-32 of blocks.
    pub(crate) checksum_gb_s: Option<f64>,
    /// LZ4 of blocks, uncompressed bytes.
    pub(crate) compress_gb_s: Option<f64>,
    /// LZ4 back, uncompressed bytes.
    pub(crate) decompress_gb_s: Option<f64>,
    /// Nanoseconds to decompress an LZ4 block of average length.
    #[serde(default)]
    pub(crate) decompress_block_ns: Option<f64>,
    /// Plain write of the stored bytes, without fsync.
    pub(crate) write_gb_s: Option<f64>,
    /// Nanoseconds per entry for one copy, LZ4, checksums, filter and a plain write.
    pub(crate) build_ns: Option<f64>,
    /// The same without LZ4.
    pub(crate) build_raw_ns: Option<f64>,
    /// Bytes that lie in blocks stored as LZ4, uncompressed.
    pub(crate) compressible_bytes: Option<u64>,
}

/// All about one workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct WorkloadOutcome {
    /// Its name.
    pub(crate) name: String,
    /// Its shape in words.
    pub(crate) about: String,
    /// Number of entries.
    pub(crate) entries: usize,
    /// Bytes of keys and values.
    pub(crate) bytes: usize,
    /// Bytes of the small cache.
    pub(crate) small_cache: u64,
    /// The floor.
    pub(crate) floor: Floor,
    /// Figures of each contender.
    pub(crate) outcomes: Vec<Outcome>,
}

impl WorkloadOutcome {
    /// The figures of one contender, if it took part.
    #[must_use]
    pub(crate) fn of(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

/// A whole run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    /// When it began, UTC.
    pub(crate) date: String,
    /// The machine, in words.
    pub(crate) machine: String,
    /// The command's arguments.
    pub(crate) arguments: String,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Time on the wall divided by processor time of a single-threaded part: 1.0 on a quiet
    /// machine.
    pub(crate) busyness: f64,
    /// Contenders that could not take part, and why.
    pub(crate) absent: Vec<String>,
    /// The workloads.
    pub(crate) workloads: Vec<WorkloadOutcome>,
}
