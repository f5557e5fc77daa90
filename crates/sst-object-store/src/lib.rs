#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "mirror"),
    expect(dead_code, unused_imports, reason = "some parts serve only mirrors, or only writers")
)]

#[cfg(feature = "aws")]
mod aws_settings;
mod block_on;
#[cfg(feature = "publish")]
mod blocking;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
mod bounded_http;
mod check;
#[cfg(feature = "publish")]
mod claims;
mod commit;
mod error;
#[cfg(feature = "publish")]
mod gc;
#[cfg(feature = "mirror")]
mod mirror;
mod place;
#[cfg(feature = "publish")]
mod publisher;
#[cfg(feature = "read")]
mod read;
mod retry;
mod runtime;
mod store;
#[cfg(feature = "publish")]
mod upload;

pub use block_on::block_on;
pub use commit::{CommitFile, FileIdentity, RemoteCommit, list_commits};
pub use error::{Operation, RequestError, StoreError};
#[cfg(feature = "publish")]
pub use gc::{GcOptions, GcReport, collect_garbage};
#[cfg(feature = "mirror")]
pub use mirror::{
    BadShardNumber, MirrorOptions, MirrorReport, ShardNumber, follow, mirror, pull, push,
};
pub use place::Place;
#[cfg(all(feature = "publish", feature = "read"))]
pub use publisher::{AdoptOptions, AdoptedFragment, Certify};
#[cfg(feature = "publish")]
pub use publisher::{
    FinishedObjectTable, FragmentOverlap, ObjectCommit, ObjectCommitInfo, ObjectOutput,
    ObjectPublisher, ObjectPublisherOptions, ObjectTableWriter, ObjectTaskWriter,
};
#[cfg(feature = "read")]
pub use read::StoreFiles;
pub use retry::RetryPolicy;
pub use sst_format::CommitRecord;
pub use sst_format::monitor::{CancelToken, Cancelled, Monitor, Phase, Progress};
pub use store::Store;
