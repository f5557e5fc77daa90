//! One figure: nanoseconds of processor time per operation, over several rounds.

use cpu_time::ThreadTime;

/// Samples of one measurement.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    samples: Vec<f64>,
}

impl Figure {
    /// Runs `work`, which does `operations` operations on this thread, and keeps the time that one of them took.
    #[expect(clippy::cast_precision_loss, reason = "a measurement, not a count")]
    pub fn sample<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let start = ThreadTime::now();
        let result = work();
        self.samples.push(start.elapsed().as_nanos() as f64 / operations as f64);
        result
    }

    /// Adds a sample that was taken elsewhere.
    pub fn push(&mut self, nanoseconds: f64) {
        self.samples.push(nanoseconds);
    }

    /// The median sample, in nanoseconds per operation; 0 without samples.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let mut figure = Figure::default();
        assert!(figure.median().abs() < f64::EPSILON);
        [5.0, 1.0, 9.0].into_iter().for_each(|sample| figure.push(sample));
        assert!((figure.median() - 5.0).abs() < f64::EPSILON);
    }
}
