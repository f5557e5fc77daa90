//! The suites, one file each.

pub mod bulk_kills;
pub mod concurrency;
pub mod crashes;
mod damage_cases;
pub mod every_bit;
pub mod hostile_directories;
pub mod hostile_entries;
pub mod hostile_filters;
pub mod hostile_tables;
pub mod interleavings;
pub mod io_faults;
mod kill_cycle;
pub mod merge_kills;
pub mod mirror_kills;
pub mod other_damage;
pub mod planted_bugs;
pub mod power_loss;
pub mod processes;
pub mod publish_kills;
pub mod undefined_behaviour;

use crate::Suite;

/// All suites, in the order of the table of results.
pub const ALL: &[&Suite] = &[
    // Damage.
    &every_bit::SUITE,
    &other_damage::SUITE,
    // Hostile input.
    &hostile_tables::SUITE,
    &hostile_directories::SUITE,
    &hostile_filters::SUITE,
    &hostile_entries::SUITE,
    // Faults.
    &io_faults::SUITE,
    &crashes::SUITE,
    &power_loss::SUITE,
    &publish_kills::SUITE,
    &merge_kills::SUITE,
    &mirror_kills::SUITE,
    &bulk_kills::SUITE,
    &concurrency::SUITE,
    &processes::SUITE,
    // Special builds.
    &interleavings::SUITE,
    &undefined_behaviour::SUITE,
    &planted_bugs::SUITE,
];
