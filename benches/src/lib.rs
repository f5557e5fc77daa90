//! The parts that the benches share: data, contenders, the physical floor, figures, and the report.
//!
//! Machines are noisy. Therefore every figure is the median of several rounds, the contenders are
//! measured in turn within each round, and their ratios are compared, not their times. Times are
//! processor time wherever that is possible.
//!
//! A contender implements [`store::Contender`], [`store::OpenStore`] and [`store::Session`] in its
//! own file; all other code is shared.

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
