//! The atomics that lookups share: the processor's, or in builds with `--cfg loom` those of the
//! model checker.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
