//! Commits made in a bucket, by many writers: [`ObjectPublisher`].

mod added_tasks;
#[cfg(feature = "read")]
mod adopt;
#[cfg(feature = "read")]
mod adopt_options;
#[cfg(feature = "read")]
mod certify;
mod numbers;
mod object_commit;
mod object_output;
mod object_publisher;
mod object_sink;
mod object_task;
mod rollback;
mod table_writer;
mod tasks;

#[cfg(feature = "read")]
pub use adopt::AdoptedFragment;
#[cfg(feature = "read")]
pub use adopt_options::AdoptOptions;
#[cfg(feature = "read")]
pub use certify::Certify;
pub use object_commit::{ObjectCommit, ObjectCommitInfo};
pub use object_output::ObjectOutput;
pub use object_publisher::{ObjectPublisher, ObjectPublisherOptions};
pub use object_task::ObjectTaskWriter;
pub use sst_writer::publish::FragmentOverlap;
pub use table_writer::{FinishedObjectTable, ObjectTableWriter};
