//! The test program for damage, faults and hostile input. `cargo xtask torture` runs it.
//!
//! A [`Suite`] runs [`Cases`] by the thousand or million and counts them in [`Row`]s. The
//! [`Context`] runs cases in parallel, catches panics, detects reads that allocate more memory than
//! FORMAT.md section 11 allows, and names cases that do not end. [`suites::ALL`] lists the suites,
//! one file each. `tests/` holds single named cases: those that once failed, and those quick enough
//! for `cargo test`.
//!
//! To add a suite, write `suites/yours.rs` with a `pub const SUITE: Suite` and add it to
//! [`suites::ALL`].

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test program states its expectations with panics; a panic in a case is counted"
)]

pub mod allocations;
pub mod cargo;
mod cases;
pub mod collisions;
mod context;
pub mod faults;
pub mod model;
pub mod programs;
mod report;
mod row;
pub mod suites;
mod watchdog;

pub use cases::{Cases, Simple};
pub use context::{Context, Mode, caught, keep_panic_messages};
pub use report::Report;
pub use row::{Failure, Protection, Row, Verdict};

/// A suite of tests.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The suite's name in the table. `--only` selects suites by a part of it.
    pub name: &'static str,
    /// The suite's purpose, in one line.
    pub about: &'static str,
    /// Runs the suite.
    pub run: fn(&Context) -> Vec<Row>,
}

impl Suite {
    /// Runs the suite. A panic outside of any case becomes a failed row.
    #[must_use]
    pub fn rows(&self, context: &Context) -> Vec<Row> {
        let mut rows = caught(|| (self.run)(context)).unwrap_or_else(|panic| {
            let mut row = Row::new("the suite itself", Protection::NotApplicable);
            row.count_panic(0, panic);
            vec![row]
        });
        for row in &mut rows {
            row.suite = self.name;
        }
        rows
    }
}
