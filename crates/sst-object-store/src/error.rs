//! Errors of operations on stores.

use std::fmt;

use sst_format::monitor::Cancelled;
use sst_format::{BlobNumber, FormatError, SequenceNumber};

/// The reason behind an error: a text, or an error of another crate.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The reason why an operation on a store failed.
///
/// In every case, readers of the target of the operation see the commit before it, or, only where
/// the answer to the last request was lost, the commit after it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A text is not the URL of a store, or of one that this build has no code for.
    #[error("cannot use {url}")]
    BadUrl {
        /// The text.
        url: String,
        /// The reason.
        source: Cause,
    },
    /// A request failed, and all its repetitions.
    #[error("cannot {operation} {object} (attempts: {attempts})")]
    Request {
        /// The object, with the URL of its store.
        object: String,
        /// The operation.
        operation: Operation,
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        source: RequestError,
    },
    /// There is no such bucket. Its name may be misspelt.
    #[error("{place}: there is no such bucket")]
    NoBucket {
        /// The place.
        place: String,
    },
    /// The credentials do not allow to list the objects of a place.
    #[error(
        "{place}: the credentials do not allow to list its objects, which readers and writers need, too"
    )]
    NoListing {
        /// The place.
        place: String,
        /// The answer.
        source: RequestError,
    },
    /// An object that a commit needs is not there.
    #[error("{object} is missing")]
    Missing {
        /// The object.
        object: String,
    },
    /// An object is damaged, or of another revision of the format.
    #[error("{object} is damaged, or of another revision of the format")]
    Format {
        /// The object.
        object: String,
        /// The cause.
        source: FormatError,
    },
    /// Bytes of an object do not match the checksum that its commit states for them.
    #[error("{object}{}: checksum {found:08x} where its commit states {expected:08x}", Block(*block))]
    WrongChecksum {
        /// The object.
        object: String,
        /// The block of a table; `None` for a blob or a meta file.
        block: Option<u16>,
        /// The checksum that the commit states.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The header of a block, the header of a blob, or the end of a table or meta file is not the
    /// one that its commit states.
    #[error("{object}{}: not the bytes that its commit states", Block(*block))]
    WrongBytes {
        /// The object.
        object: String,
        /// The block of a table; `None` for other bytes.
        block: Option<u16>,
    },
    /// An object has another length than its commit states.
    #[error("{object} has {found} bytes where its commit states {expected}")]
    WrongLen {
        /// The object.
        object: String,
        /// The length that the commit states, in bytes.
        expected: u64,
        /// The length of the object, in bytes.
        found: u64,
    },
    /// A directory of the file system has something else under the name of a file: a folder, a pipe
    /// or a device, which is not opened.
    #[error("{object} is not a regular file")]
    NotAFile {
        /// The object.
        object: String,
    },
    /// An object is longer than any of its kind.
    #[error("{object} has more than the {limit} bytes that it may have")]
    TooLong {
        /// The object.
        object: String,
        /// The highest number of bytes.
        limit: u64,
    },
    /// A commit was written without checksums by the original implementation. It can be read, but
    /// not mirrored.
    #[error(
        "{object} was written without checksums by another implementation: it cannot be mirrored"
    )]
    Unprotected {
        /// The object without protection.
        object: String,
    },
    /// A meta file is a part of a commit that has several: it is no commit by itself.
    #[error("{object} is a part of commit {commit}")]
    PartOfCommit {
        /// The meta file.
        object: String,
        /// The commit it belongs to.
        commit: SequenceNumber,
    },
    /// A place has no commit: there is no `CURRENT`.
    #[error("{place} has no commit")]
    NoCommit {
        /// The place.
        place: String,
    },
    /// A place that is to be adopted has no tables of the family, though it has some of others.
    #[error("{place} has no tables of family {family}")]
    NotAFragment {
        /// The place.
        place: String,
        /// The family.
        family: u32,
    },
    /// The commit has adopted a table of a fragment before.
    #[error("{place} has a table that was adopted before")]
    FragmentTwice {
        /// The fragment.
        place: String,
    },
    /// The ranges of hashes of two fragments overlap, which was not allowed.
    #[error(
        "the hashes of {place} overlap those of {other}: each writer should have written a range of its own"
    )]
    FragmentsOverlap {
        /// The fragment.
        place: String,
        /// One that was adopted before.
        other: String,
    },
    /// The newest commit of a target is none of the source's: the two places have different
    /// histories, or that commit is more than 32 commits behind, and the source no longer has its
    /// meta file.
    #[error(
        "{target} is at commit {sequence}, which {origin} does not have: if the content of {target} may go, replace it (--replace)"
    )]
    Conflict {
        /// The target.
        target: String,
        /// The source.
        origin: String,
        /// The newest commit of the target.
        sequence: SequenceNumber,
    },
    /// A shard is to be copied to a bucket: it can only be copied to a directory.
    #[error("{place} is a bucket: a shard can only be copied to a directory")]
    ShardInBucket {
        /// The bucket.
        place: String,
    },
    /// A shard is to be taken from a place that holds a shard itself.
    #[error("{place} holds shard {index} of {count} itself: take shards from the whole")]
    SourceIsShard {
        /// The source.
        place: String,
        /// The number of the shard that it holds.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// A directory holds a shard, and something else is to be copied there: another shard, or the
    /// whole source.
    #[error("{place} holds shard {index} of {count}: copy anything else to another directory")]
    HoldsShard {
        /// The directory.
        place: String,
        /// The number of the shard that it holds.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// A directory holds a whole commit, and a shard is to be copied there.
    #[error("{place} holds a whole commit, and no shard: copy a shard to another directory")]
    HoldsAll {
        /// The directory.
        place: String,
    },
    /// The source went back to an earlier commit, by a rollback or because it was restored, and the
    /// meta file of the shard does not fit it: it does not describe tables that are live again, or
    /// was made for a later commit. It belongs to the shard's newest commit, so it cannot be
    /// replaced. Copy the shard into a new directory, and let the readers open that.
    #[error(
        "{object} does not fit the commit that the source went back to: copy the shard into a new directory"
    )]
    ShardOutgrown {
        /// The meta file.
        object: String,
    },
    /// A table refers to a blob that its commit does not list.
    #[error("a table of {object} refers to blob {blob}, which that does not list")]
    UnlistedBlob {
        /// The meta file that describes the table.
        object: String,
        /// The blob.
        blob: BlobNumber,
    },
    /// A table that was copied cannot be read.
    #[cfg(feature = "read")]
    #[error(transparent)]
    Read(#[from] sst_reader::ReadError),
    /// The newest commit of the target has a file of this name with other content. Replacing it
    /// would break that commit for its readers.
    #[error(
        "{object} belongs to the target's newest commit, with other content: choose another target"
    )]
    Taken {
        /// The object.
        object: String,
    },
    /// Another writer has changed the target meanwhile. Nothing of this operation is visible.
    #[error("{object} was changed by another writer meanwhile")]
    Changed {
        /// The object.
        object: String,
    },
    /// Another writer works on the same names of the target, or has crashed less than the grace
    /// period ago.
    #[error(
        "{object} is claimed by {owner}: wait for it, or for the end of the grace period; if it was killed, a collection of garbage (gc) with a shorter grace period frees it"
    )]
    Claimed {
        /// The claim.
        object: String,
        /// The owner that it states.
        owner: String,
    },
    /// An answer of the store was lost, and other writers have published since: nothing tells
    /// whether this commit was live in between. It is not live now.
    #[error(
        "{object} was changed by another writer, and an answer was lost: this commit may have been live"
    )]
    Unknown {
        /// `CURRENT`.
        object: String,
    },
    /// The answer to the request that makes a commit visible was lost, and `CURRENT` could not be
    /// read after that: the commit is live or not. Look at the newest commit before you repeat it.
    #[error(
        "it is not known whether the commit is live, since no answer came to the request that writes {object}: look at the newest commit before you repeat it"
    )]
    Doubtful {
        /// `CURRENT`.
        object: String,
        /// The error of the request.
        source: Box<StoreError>,
    },
    /// A store refuses to replace an object although it is the version that was read: it does not
    /// know conditional requests. No commit can be made there.
    #[error(
        "{object} is unchanged, and the store refuses to replace it: it does not support conditional requests (If-Match)"
    )]
    NoConditions {
        /// `CURRENT`.
        object: String,
    },
    /// All 32-bit numbers are used up.
    #[error("{place} has used up all numbers")]
    NumbersExhausted {
        /// The bucket.
        place: String,
    },
    /// A store can only be read.
    #[error("{place} can only be read")]
    ReadOnly {
        /// The store.
        place: String,
    },
    /// The directory of a mirror, or the content of a commit, was refused by the writer.
    #[cfg(feature = "publish")]
    #[error(transparent)]
    Directory(#[from] sst_writer::PublishError),
    /// A table or blob could not be written.
    #[cfg(feature = "publish")]
    #[error(transparent)]
    Write(#[from] sst_writer::WriteError),
    /// There is no runtime for the operation.
    #[error("cannot start the threads of a runtime")]
    Runtime {
        /// The cause.
        source: std::io::Error,
    },
    /// The operation was cancelled through its monitor.
    #[error("the operation was cancelled")]
    Cancelled,
    /// An invariant of this crate is broken, which is a bug.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
}

/// The error of a request, as the crate `object_store` states it, causes included: for example,
/// that a connection was refused.
#[derive(Debug, thiserror::Error)]
#[error("{}", with_causes(.0))]
pub struct RequestError(Box<object_store::Error>);

/// The text of an error with those texts of its causes that it does not have already: the crate
/// states the first cause, and the client of HTTP behind it states none.
fn with_causes(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let of_cause = error.to_string();
        if !text.contains(&of_cause) {
            text.push_str(": ");
            text.push_str(&of_cause);
        }
        cause = error.source();
    }
    if CREDENTIAL_SERVICES.iter().any(|service| text.contains(service)) {
        text.push_str(NO_CREDENTIALS);
    }
    text
}

/// Where clients ask for credentials on a machine of a cloud, if the environment has none.
const CREDENTIAL_SERVICES: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// What their failure means to someone whose machine is of no cloud.
const NO_CREDENTIALS: &str = "; the environment has no credentials (for S3 AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY), so the service was asked that machines of a cloud have for them";

impl RequestError {
    /// The error. The text of this one has the texts of its causes already, so they are no sources
    /// of it.
    #[must_use]
    pub const fn inner(&self) -> &object_store::Error {
        &self.0
    }
}

impl From<object_store::Error> for RequestError {
    fn from(error: object_store::Error) -> Self {
        Self(Box::new(error))
    }
}

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Reading it, or a part of it.
    Read,
    /// Writing it.
    Write,
    /// Removing it.
    Remove,
    /// Listing the objects below it.
    List,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::List => "list",
        })
    }
}

struct Block(Option<u16>);

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |block| write!(f, ", block {block}"))
    }
}

impl From<Cancelled> for StoreError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl StoreError {
    /// Whether an object is damaged or is not the one that its commit states.
    #[must_use]
    pub const fn is_corruption(&self) -> bool {
        match self {
            Self::Format { source, .. } => !source.is_unknown_version(),
            Self::Missing { .. }
            | Self::WrongChecksum { .. }
            | Self::WrongBytes { .. }
            | Self::WrongLen { .. }
            | Self::TooLong { .. }
            | Self::PartOfCommit { .. }
            | Self::UnlistedBlob { .. } => true,
            #[cfg(feature = "read")]
            Self::Read(error) => error.is_corruption(),
            #[cfg(feature = "publish")]
            Self::Directory(error) => error.is_corruption(),
            #[cfg(feature = "publish")]
            Self::Write(_) => false,
            Self::BadUrl { .. }
            | Self::Request { .. }
            | Self::NoBucket { .. }
            | Self::NoListing { .. }
            | Self::NotAFile { .. }
            | Self::Unprotected { .. }
            | Self::NoCommit { .. }
            | Self::NotAFragment { .. }
            | Self::FragmentTwice { .. }
            | Self::FragmentsOverlap { .. }
            | Self::Conflict { .. }
            | Self::ShardInBucket { .. }
            | Self::SourceIsShard { .. }
            | Self::HoldsShard { .. }
            | Self::HoldsAll { .. }
            | Self::ShardOutgrown { .. }
            | Self::Taken { .. }
            | Self::Changed { .. }
            | Self::Claimed { .. }
            | Self::Unknown { .. }
            | Self::Doubtful { .. }
            | Self::NoConditions { .. }
            | Self::NumbersExhausted { .. }
            | Self::ReadOnly { .. }
            | Self::Runtime { .. }
            | Self::Cancelled
            | Self::Internal(_) => false,
        }
    }

    /// The error of a broken invariant of this crate. Debug builds stop here.
    #[cold]
    pub(crate) fn internal(invariant: &'static str) -> Self {
        debug_assert!(false, "this does not hold: {invariant}");
        Self::Internal(invariant)
    }

    pub(crate) fn format(object: impl Into<String>, source: FormatError) -> Self {
        Self::Format { object: object.into(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(cause: &'static str) -> String {
        let error = object_store::Error::Generic { store: "S3", source: cause.into() };
        RequestError::from(error).to_string()
    }

    #[test]
    fn a_request_for_credentials_tells_that_there_are_none() {
        let asked = "Error performing PUT http://169.254.169.254/latest/api/token in 1s";
        assert!(text_of(asked).contains("AWS_ACCESS_KEY_ID"));
        assert!(!text_of("connection refused").contains("AWS_ACCESS_KEY_ID"));
    }
}
