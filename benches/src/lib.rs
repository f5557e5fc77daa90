//! The parts that benches share: data, contenders, the physical floor, figures, and the report.
//!
//! Machines are noisy, so every figure is the median of several rounds, the things compared are
//! measured in turn within each round, and what counts is their ratio. Everything that can be is
//! processor time.
//!
//! A contender implements [`store::Contender`], [`store::OpenStore`] and [`store::Session`] in a
//! file of its own; the rest is the same for all.

pub mod access;
pub mod bulk;
pub mod command;
pub mod contenders;
pub mod cpu_features;
pub mod floor;
pub mod random;
pub mod store;
pub mod strings;
pub mod workload;

mod figure;
mod report;
mod run;
mod side_by_side;

pub use figure::Figure;
pub use workload::Workload;
