//! The suites, one file each.

pub mod crashes;
pub mod hostile_filters;
pub mod io_faults;
pub mod power_loss;

use crate::Suite;

/// Every suite, in the order in which they run and stand in the table.
pub const ALL: &[&Suite] =
    &[&hostile_filters::SUITE, &io_faults::SUITE, &crashes::SUITE, &power_loss::SUITE];
