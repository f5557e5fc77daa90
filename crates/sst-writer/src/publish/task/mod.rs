//! Tables that the tasks of a job write into a shared directory, without its lock.

mod report_bytes;
mod task_files;
mod task_options;
pub(crate) mod task_report;
mod task_table_writer;
mod task_tables;
mod task_writer;

pub use task_options::TaskOptions;
pub use task_report::{TaskReport, TaskTable};
pub use task_table_writer::{FinishedTaskTable, TaskTableWriter};
pub use task_tables::TaskTables;
pub use task_writer::TaskWriter;
