//! The test programme for damage, faults and hostile input; `cargo xtask torture` runs it.
//!
//! A [`Suite`] tries [`Cases`] by the thousand or million and counts them in [`Row`]s; the
//! [`Context`] runs them in parallel, catches panics, notices reads that take more memory than
//! FORMAT.md section 11 allows, and names a case that doesn't end. [`suites::ALL`] lists the
//! suites, one file each. `tests/` holds single cases with names: those that once failed, and those
//! quick enough for `cargo test`.
//!
//! To add a suite, write `suites/yours.rs` with a `pub const SUITE: Suite` and put it into
//! [`suites::ALL`].

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test programme says what it expects by failing; a panic in a case is counted"
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

/// A part of the programme.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// Its name in the table; `--only` looks for a part of it.
    pub name: &'static str,
    /// Its purpose, in one line.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Context) -> Vec<Row>,
}

impl Suite {
    /// Runs the suite; a panic outside of any case becomes a failed row.
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
