//! Commits made in a bucket, by many writers: [`ObjectPublisher`].

mod numbers;
mod object_commit;
mod object_publisher;
mod object_sink;
mod table_writer;

pub use object_commit::{ObjectCommit, ObjectCommitInfo};
pub use object_publisher::{ObjectPublisher, ObjectPublisherOptions};
pub use table_writer::{FinishedObjectTable, ObjectTableWriter};
