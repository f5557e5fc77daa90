//! The physical floor: the minimum time that the machine needs, measured with the same data in the
//! same run.

mod dependent_reads;
mod table_blocks;

pub use dependent_reads::DependentReads;
pub use table_blocks::TableBlocks;
