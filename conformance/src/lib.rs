//! The checks that hold writer and reader to the format: the reference vectors in both directions, real directories,
//! a matrix of round trips, and the rule of who may depend on whom.
//!
//! `cargo xtask conformance` runs [`run`] and prints its [`Report`]. The integration tests in `tests/` use the same
//! parts.

pub mod dependencies;
pub mod digest;
pub mod directories;
pub mod reader_vectors;
mod report;
mod splitmix;
pub mod vectors;

pub use report::{Report, Row};
pub use splitmix::SplitMix;

/// Why a check failed: one line that names the case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

impl CheckError {
    /// A failure described by `message`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Shorthand for a failed check.
///
/// # Errors
///
/// Always.
pub fn fail<T>(message: impl Into<String>) -> Result<T, CheckError> {
    Err(CheckError::new(message))
}
