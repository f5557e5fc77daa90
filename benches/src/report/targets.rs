//! Every target with its result: met, missed, or not measured with the reason.

use super::summary::is_quiet;
use super::tables::{NOT_APPLICABLE, Table, number, scan_rate};
use crate::run::{Outcome, Run, WorkloadOutcome};

const LZ4: &str = "sst LZ4";
const RAW: &str = "sst raw";
const ROCKS: &str = "RocksDB LZ4";
const LMDB: &str = "LMDB";

/// A goal for a ratio, a time or a rate, and the measured value.
struct Target {
    label: String,
    bound: Bound,
    /// `None` if this run did not measure the contenders that it compares.
    measured: Option<f64>,
    unit: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn row(&self) -> Vec<String> {
        let (bound, is_met) = match self.bound {
            Bound::AtMost(limit) => ("at most", self.measured.map(|value| value <= limit)),
            Bound::AtLeast(limit) => ("at least", self.measured.map(|value| value >= limit)),
        };
        let (Bound::AtMost(limit) | Bound::AtLeast(limit)) = self.bound;
        let verdict = match is_met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        let unit = self.unit;
        let measured = match self.measured {
            Some(_) => format!("{}{unit}", number(self.measured)),
            None => NOT_APPLICABLE.to_owned(),
        };
        vec![self.label.clone(), format!("{bound} {limit}{unit}"), measured, verdict.to_owned()]
    }
}

/// Collects the targets. A target that this run did not measure is in the list too.
struct Targets<'r> {
    run: &'r Run,
    list: Vec<Target>,
}

/// Returns a figure of one contender.
type Value = fn(&WorkloadOutcome, &Outcome) -> Option<f64>;

const HIT: Value = |_, o| o.hit_ns;
const HIT_IN_FLOORS: Value = |w, o| o.hit_ns.map(|hit| hit / w.floor.read_ns);
const BUILD: Value = |_, o| o.build_ns;
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
const DISK: Value = |_, o| o.disk_bytes.map(|bytes| bytes as f64);

impl Targets<'_> {
    fn add(&mut self, label: String, bound: Bound, measured: Option<f64>, unit: &'static str) {
        self.list.push(Target { label, bound, measured, unit });
    }

    fn workload(&self, name: &str) -> Option<&WorkloadOutcome> {
        self.run.workloads.iter().find(|workload| workload.name == name)
    }

    fn value(&self, workload: &str, store: &str, value: Value) -> Option<f64> {
        let workload = self.workload(workload)?;
        value(workload, workload.of(store)?)
    }

    /// Returns the `value` of `other` as a multiple of that of `ours`.
    fn times(&self, workload: &str, ours: &str, other: &str, value: Value) -> Option<f64> {
        Some(self.value(workload, other, value)? / self.value(workload, ours, value)?)
    }

    fn hits(&mut self) {
        let limits = [
            ("a", LZ4, 2.0),
            ("b", LZ4, 3.5),
            ("b", RAW, 2.0),
            ("c", LZ4, 3.5),
            ("c", RAW, 2.0),
            ("d", LZ4, 3.0),
            ("d", RAW, 1.5),
        ];
        for (workload, ours, limit) in limits {
            let measured = self.value(workload, ours, HIT_IN_FLOORS);
            self.add(
                format!("hit ({workload}), {ours}"),
                Bound::AtMost(limit),
                measured,
                " floors",
            );
        }
        for workload in ["a", "b", "c"] {
            for (other, limit) in [(ROCKS, 5.0), (LMDB, 2.0)] {
                let measured = self.times(workload, LZ4, other, HIT);
                self.add(
                    format!("hit ({workload}), {LZ4}, speed against {other}"),
                    Bound::AtLeast(limit),
                    measured,
                    " ×",
                );
            }
        }
        let small: Value = |_, o| o.small_cache_hit_ns;
        let measured = self.times("b", LZ4, ROCKS, small);
        self.add(
            "hit (b), cache of a tenth, speed against RocksDB".to_owned(),
            Bound::AtLeast(1.5),
            measured,
            " ×",
        );
    }

    fn misses(&mut self) {
        let miss: Value = |_, o| o.miss_ns;
        for workload in ["a", "b", "c", "d"] {
            let measured = self.value(workload, LZ4, miss);
            self.add(format!("miss ({workload})"), Bound::AtMost(35.0), measured, " ns");
            let share = self.times(workload, LZ4, ROCKS, miss).map(f64::recip);
            self.add(
                format!("miss ({workload}), time against RocksDB"),
                Bound::AtMost(0.35),
                share,
                " ×",
            );
        }
        let in_floors: Value = |w, o| o.miss_ns.map(|miss| (miss - 35.0) / w.floor.read_ns);
        let measured = self.value("e", LZ4, in_floors);
        self.add(
            "miss (e), beyond 35 ns".to_owned(),
            Bound::AtMost(1.0),
            measured,
            " cache misses",
        );
    }

    fn writing(&mut self) {
        for (workload, limit) in [("a", 4.0), ("b", 1.8), ("c", 1.6), ("d", 1.25)] {
            let measured = self.times(workload, LZ4, ROCKS, BUILD);
            self.add(
                format!("write ({workload}), speed against RocksDB"),
                Bound::AtLeast(limit),
                measured,
                " ×",
            );
        }
        for workload in ["a", "b", "c", "d"] {
            let lz4: Value = |w, o| Some(w.floor.build_ns? / o.build_ns?);
            let raw: Value = |w, o| Some(w.floor.build_raw_ns? / o.build_ns?);
            for (ours, value) in [(LZ4, lz4), (RAW, raw)] {
                let measured = self.value(workload, ours, value);
                self.add(
                    format!("write ({workload}), {ours}, speed against the floor"),
                    Bound::AtLeast(0.6),
                    measured,
                    " ×",
                );
            }
        }
    }

    fn files(&mut self) {
        let names: Vec<_> =
            self.run.workloads.iter().map(|workload| workload.name.clone()).collect();
        for workload in names {
            let measured = self.times(&workload, LZ4, ROCKS, DISK).map(f64::recip);
            self.add(
                format!("size on disk ({workload}) against RocksDB"),
                Bound::AtMost(1.03),
                measured,
                " ×",
            );
        }
        for workload in ["a", "b", "c", "d"] {
            let open: Value = |_, o| o.open_us;
            let measured = self.value(workload, LZ4, open);
            self.add(format!("open one file ({workload})"), Bound::AtMost(100.0), measured, " µs");
        }
    }

    fn batches_and_scans(&mut self) {
        let speedup: Value = |_, o| Some(o.hit_ns? / o.multi_get_ns?);
        let measured = self.value("e", LZ4, speedup);
        self.add(
            "multi_get (e), speed against single gets".to_owned(),
            Bound::AtLeast(2.0),
            measured,
            " ×",
        );
        let half =
            self.workload("b").and_then(|w| w.floor.decompress_gb_s).map_or(1.0, |rate| rate / 2.0);
        let measured = self.value("b", LZ4, scan_rate);
        self.add(
            "full scan (b)".to_owned(),
            Bound::AtLeast((half.min(1.0) * 100.0).round() / 100.0),
            measured,
            " GB/s",
        );
    }

    fn two_threads(&mut self) {
        let hit: Value = |_, o| o.two_threads_hit;
        let hit_cpu: Value = |_, o| o.two_threads_hit_cpu;
        let two_files: Value = |_, o| o.two_files_build;
        for workload in ["a", "b", "c", "d"] {
            let (value, how) = if is_quiet(self.run) {
                (hit, "wall-clock time")
            } else {
                (hit_cpu, "by processor time")
            };
            let measured = self.value(workload, LZ4, value);
            self.add(
                format!("two threads look up ({workload}), {how}"),
                Bound::AtLeast(1.9),
                measured,
                " ×",
            );
        }
        for workload in ["a", "b", "c", "d"] {
            let measured = self.value(workload, LZ4, two_files);
            self.add(
                format!("two threads write ({workload}), a file each, wall-clock time"),
                Bound::AtLeast(1.6),
                measured,
                " ×",
            );
        }
    }

    /// Adds the targets for the reader's memory. The bound is the sum of the cache, 12 bytes per
    /// block, and the filter. The memory for building is bounded by the writer's formula, which its
    /// own tests check.
    fn memory(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let of_bound: Value = |w, o| {
            let filter = w.entries as u64 * 20 / 8;
            let blocks = w.bytes as u64 / (8 << 10) * 2 * 12;
            Some(o.read_memory? as f64 / (w.small_cache + filter + blocks) as f64)
        };
        for workload in ["b", "c", "d"] {
            let measured = self.value(workload, LZ4, of_bound);
            self.add(
                format!(
                    "memory of the reader ({workload}) against cache + 12 bytes per block + filter"
                ),
                Bound::AtMost(1.0),
                measured,
                " ×",
            );
        }
    }
}

/// Returns the table of targets.
pub(super) fn table(run: &Run) -> Table {
    let mut targets = Targets { run, list: Vec::new() };
    targets.hits();
    targets.misses();
    targets.writing();
    targets.files();
    targets.batches_and_scans();
    targets.two_threads();
    targets.memory();
    let count = |verdict: &str| {
        targets
            .list
            .iter()
            .filter(|target| target.row().last().is_some_and(|v| v == verdict))
            .count()
    };
    Table {
        title: "Targets".to_owned(),
        note: format!(
            "{} met, {} missed, {} not measured in this run. A floor is one dependent random read in a buffer as long as all entries.",
            count("met"),
            count("missed"),
            count("not measured")
        ),
        head: ["target", "bound", "measured", "verdict"].map(str::to_owned).to_vec(),
        rows: targets.list.iter().map(Target::row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let verdict = |bound, measured| {
            Target { label: String::new(), bound, measured, unit: "" }.row().pop().unwrap()
        };
        assert_eq!(verdict(Bound::AtMost(2.0), Some(2.0)), "met");
        assert_eq!(verdict(Bound::AtMost(2.0), Some(2.1)), "missed");
        assert_eq!(verdict(Bound::AtLeast(2.0), Some(1.9)), "missed");
        assert_eq!(verdict(Bound::AtLeast(2.0), None), "not measured");
    }
}
