//! The suites, one file each.

pub mod hostile_filters;

use crate::Suite;

/// Every suite, in the order in which they run and stand in the table.
pub const ALL: &[&Suite] = &[&hostile_filters::SUITE];
