//! Bulk loads compared with a model in memory: every policy, budgets too small for the input,
//! several threads, hostile keys. A reader must find the entries of the model, and the files must
//! not depend on the budget and the threads.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests say what they expect by failing"
)]

#[path = "bulk/failures.rs"]
mod failures;
#[path = "bulk/files.rs"]
mod files;
#[path = "bulk/model.rs"]
mod model;
