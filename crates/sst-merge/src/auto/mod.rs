//! Compaction that runs by itself: a policy, and the merges that it wants.

mod auto_compact;
mod merge_plan;
mod merge_policy;
mod table_size;

pub use auto_compact::{auto_compact, plan_compaction};
pub use merge_plan::MergePlan;
pub use merge_policy::MergePolicy;
pub use table_size::TableSize;
