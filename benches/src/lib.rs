//! What the benches share: workloads, the physical floor, and how a figure is taken.
//!
//! Machines are noisy, so every figure is the median of several rounds, the things compared are measured in turn
//! within each round, and what counts is their ratio.

pub mod cpu_features;
pub mod floor;
pub mod random;
pub mod table;
pub mod workload;

mod figure;

pub use figure::Figure;
pub use workload::Workload;
