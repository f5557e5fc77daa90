//! One figure: nanoseconds of processor time per operation, measured in several rounds.

use std::time::Instant;

use cpu_time::{ProcessTime, ThreadTime};

/// The samples of one figure.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    samples: Vec<f64>,
}

impl Figure {
    /// Runs `work`, which does `operations` operations on this thread, and records the processor
    /// time of one operation.
    #[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
    pub fn sample<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let start = ThreadTime::now();
        let result = work();
        self.push(start.elapsed().as_nanos() as f64 / operations as f64);
        result
    }

    /// Like `sample`, but the time of all threads of the process counts, for work that starts
    /// threads.
    #[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
    pub fn sample_process<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let start = ProcessTime::now();
        let result = work();
        self.push(start.elapsed().as_nanos() as f64 / operations as f64);
        result
    }

    /// Like `sample`, but records wall-clock time.
    #[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
    pub fn sample_wall<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.push(start.elapsed().as_nanos() as f64 / operations as f64);
        result
    }

    /// Adds a sample that was measured elsewhere.
    pub fn push(&mut self, nanoseconds: f64) {
        self.samples.push(nanoseconds);
    }

    /// Moves the samples of another figure to this one.
    pub fn append(&mut self, mut other: Self) {
        self.samples.append(&mut other.samples);
    }

    /// Multiplies the last sample, for work whose number of operations is known only afterwards.
    pub fn scale_last(&mut self, factor: f64) {
        if let Some(last) = self.samples.last_mut() {
            *last *= factor;
        }
    }

    /// Returns the median sample. `None` if there are no samples.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let mut figure = Figure::default();
        assert_eq!(figure.median(), None);
        [5.0, 1.0, 9.0].into_iter().for_each(|sample| figure.push(sample));
        assert_eq!(figure.median(), Some(5.0));
    }
}
