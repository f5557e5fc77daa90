//! Compaction that runs by itself: a policy, and the merges that it wants.

mod auto_compact;
mod merge_policy;

pub use auto_compact::{auto_compact, plan_compaction};
pub use merge_policy::{MergePlan, MergePolicy, TableSize};
