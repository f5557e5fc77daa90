//! The physical floor: what the machine needs at least, measured on the same data in the same run.

mod dependent_reads;
mod table_blocks;

pub use dependent_reads::DependentReads;
pub use table_blocks::TableBlocks;
