#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "mirror"),
    expect(dead_code, reason = "requests that write, and checks of whole files, are for `mirror`")
)]

mod block_on;
mod check;
#[cfg(feature = "mirror")]
mod claims;
mod commit;
mod error;
#[cfg(feature = "mirror")]
mod gc;
#[cfg(feature = "mirror")]
mod mirror;
mod place;
mod retry;
mod store;

pub use block_on::block_on;
pub use commit::{CommitFile, FileIdentity, RemoteCommit};
pub use error::{Operation, StoreError};
#[cfg(feature = "mirror")]
pub use gc::{GcOptions, GcReport, collect_garbage};
#[cfg(feature = "mirror")]
pub use mirror::{MirrorOptions, MirrorReport, follow, mirror, pull, push};
pub use place::Place;
pub use retry::RetryPolicy;
pub use sst_format::monitor::{CancelToken, Cancelled, Monitor, Phase, Progress};
pub use store::Store;
