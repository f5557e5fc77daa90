//! The errors that stop a command: a line of text for people, an exit code for scripts.

use std::io;
use std::path::{Path, PathBuf};

use sst_format::FormatError;
use sst_merge::MergeError;
use sst_object_store::StoreError;
use sst_reader::ReadError;
use sst_writer::table::ShortKey;
use sst_writer::{BulkError, PublishError, WriteError};

use crate::exit::Exit;
use crate::input::{FormatError as InputFormatError, InputError};
use crate::notation::{Bytes, NotationError};

/// The reason why a command stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments do not fit each other, or do not fit the files that they name.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Format(#[from] InputFormatError),
    /// A key on the command line or in a file is not in its notation.
    #[error("{place}")]
    Key {
        /// The key, or the file and line with it.
        place: String,
        /// The error in it.
        #[source]
        cause: NotationError,
    },
    /// A key in a file is longer than any key of a table.
    #[error("{place}: the key has more than 16 MiB")]
    KeyTooLong {
        /// The file and line.
        place: String,
    },
    /// An entry cannot be printed in a format without escapes.
    #[error(
        "the key {} has {what}, which this format cannot hold: use --hex, or another --format",
        Bytes::escaped(key)
    )]
    NotRaw {
        /// The key of the entry.
        key: Box<[u8]>,
        /// The part that the format cannot hold.
        what: &'static str,
    },
    /// A file or directory of ours could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file without a description in a meta file does not end like a table.
    #[error("{}: not an SST file, or a truncated one: it does not end with an offset table", _0.display())]
    NotAnSst(PathBuf),
    /// A part of a file is damaged.
    #[error("{}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The damage.
        #[source]
        cause: FormatError,
    },
    /// A directory without `CURRENT`.
    #[error("{}: {}", dir.display(), if *has_files { "CURRENT is missing" } else { "not an SST directory: it has no CURRENT" })]
    NoCurrent {
        /// The directory.
        dir: PathBuf,
        /// Whether it has other files of the format.
        has_files: bool,
    },
    /// A directory without `CURRENT`, since its first commit has not happened: its marker says so.
    #[error("{}: its first commit has not happened yet, or was interrupted", .0.display())]
    NoFirstCommit(PathBuf),
    /// An operation of the operating system failed.
    #[error("cannot {action} {what}")]
    Io {
        /// The operation: `open`, `read`, `write to`.
        action: &'static str,
        /// The file.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The input of `load` cannot be read.
    #[error("{name}")]
    Input {
        /// Name of the input.
        name: String,
        /// The reason.
        source: InputError,
    },
    /// The input of `load` has no entries.
    #[error("{name}: there are no entries")]
    NoEntries {
        /// Name of the input.
        name: String,
    },
    /// A key occurs twice, and `--duplicates error` forbids that.
    #[error("{name}: {position}: the key {key} is in {first}{} too", suffix_of_other(first_name.as_deref()))]
    Duplicate {
        /// Name of the input.
        name: String,
        /// Its line or row.
        position: String,
        key: ShortKey,
        /// Name of the first input with the key, if it is another input.
        first_name: Option<String>,
        first: String,
    },
    /// The format cannot hold an entry.
    #[error("{name}: {position}")]
    Entry {
        /// Name of the input.
        name: String,
        /// Its line or row.
        position: String,
        source: WriteError,
    },
    /// Entries could not be loaded.
    #[error(transparent)]
    Bulk(BulkError),
    /// Ctrl-C stopped the command.
    #[error("interrupted: {} is unchanged", _0.display())]
    Interrupted(PathBuf),
    /// Ctrl-C stopped a split, which makes one shard after the other.
    #[error("interrupted: the shards in {} are incomplete; run the same command again to create all of them", _0.display())]
    SplitInterrupted(PathBuf),
    /// Ctrl-C stopped a merge in place, which makes one commit for each family.
    #[error(
        "interrupted: {} of {} families of {} are merged, the others are unchanged; run the same command again to continue",
        done, families, directory.display(),
    )]
    MergeInterrupted {
        /// The directory.
        directory: PathBuf,
        /// Families that were to be merged.
        families: usize,
        /// Families that are merged already.
        done: usize,
    },
    /// A directory could not be written to.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Tables could not be merged.
    #[error(transparent)]
    Merge(MergeError),
    /// A commit could not be copied.
    #[error(transparent)]
    Store(StoreError),
    /// A directory has files of the format, but no publisher of ours left them there.
    #[error("{}: there are SST files but no CURRENT: load into another directory, or move these files away", _0.display())]
    NotOurs(PathBuf),
    /// The original implementation wrote the directory.
    #[error("{}: written without checksums by another implementation: it can only be read", _0.display())]
    Original(PathBuf),
    /// A commit is live, but a later step of the command failed.
    #[error("{}: commit {commit} is live, but a later step failed", directory.display())]
    Live {
        /// The directory.
        directory: PathBuf,
        /// The commit that readers see now.
        commit: u32,
        /// The failure.
        source: Box<CliError>,
    },
    /// An output is written, but a later step of the command failed.
    #[error("{} is written, but a later step failed", path.display())]
    Written {
        /// The output.
        path: PathBuf,
        /// The failure.
        #[source]
        cause: Box<CliError>,
    },
    /// A rule among the parts of this program does not hold.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
    /// Standard output cannot be written: the disk is full, or the reader of the pipe has gone.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// The text of an error followed by its causes: `cannot open a.sst: Permission denied (os error
/// 13)`.
///
/// No error of ours prints its cause; `source()` returns it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Read(error) => error.into(),
            MergeError::Publish(error) => error.into(),
            error => Self::Merge(error),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Directory(error) => error.into(),
            error => Self::Store(error),
        }
    }
}

impl CliError {
    /// Turns a cancellation into [`CliError::Interrupted`], which states that `unchanged` is as it
    /// was before.
    pub(crate) fn into_interrupted(self, unchanged: &Path) -> Self {
        if self.is_cancelled() { Self::Interrupted(unchanged.to_owned()) } else { self }
    }

    /// Whether Ctrl-C stopped a library.
    const fn is_cancelled(&self) -> bool {
        match self {
            Self::Merge(error) => error.is_cancelled(),
            Self::Read(error) => matches!(error, ReadError::Cancelled { .. }),
            Self::Publish(error) => error.is_cancelled(),
            Self::Bulk(error) => error.is_cancelled(),
            Self::Store(StoreError::Cancelled) => true,
            Self::Store(StoreError::Directory(error)) => error.is_cancelled(),
            // No other error of another crate is a cancellation.
            Self::Store(_) => false,
            // Already told, after a commit that is live, or another error.
            Self::Interrupted(_)
            | Self::SplitInterrupted(_)
            | Self::MergeInterrupted { .. }
            | Self::Live { .. }
            | Self::Written { .. }
            | Self::Usage(_)
            | Self::Format(_)
            | Self::Key { .. }
            | Self::KeyTooLong { .. }
            | Self::NotRaw { .. }
            | Self::NotAnSst(_)
            | Self::Damaged { .. }
            | Self::NoCurrent { .. }
            | Self::NoFirstCommit(_)
            | Self::Io { .. }
            | Self::Input { .. }
            | Self::NoEntries { .. }
            | Self::Duplicate { .. }
            | Self::Entry { .. }
            | Self::NotOurs(_)
            | Self::Original(_)
            | Self::Internal(_)
            | Self::Output(_) => false,
        }
    }

    /// Turns the cancellation of a merge in place after `done` of `families` families into its
    /// error.
    pub(crate) fn into_interrupted_at(
        self,
        directory: &Path,
        done: usize,
        families: usize,
    ) -> Self {
        match self.into_interrupted(directory) {
            Self::Interrupted(directory) if done > 0 => {
                Self::MergeInterrupted { directory, families, done }
            }
            error => error,
        }
    }

    /// Wraps an error that happened after a commit: the commit is live. The error of a closed
    /// output pipe is returned unchanged, since it is not a failure.
    pub(crate) fn after_commit(self, directory: &Path, commit: u32) -> Self {
        if self.is_silent() {
            return self;
        }
        Self::Live { directory: directory.to_owned(), commit, source: Box::new(self) }
    }

    /// As [`CliError::after_commit`], of a bucket, if there is a commit.
    pub(crate) fn after_bucket(self, url: &Path, commit: Option<u32>) -> Self {
        match commit {
            Some(commit) => self.after_commit(url, commit),
            None => self,
        }
    }

    /// As [`CliError::after_commit`], for an output that is no commit, or several.
    pub(crate) fn after_output(self, path: &Path) -> Self {
        if self.is_silent() {
            return self;
        }
        Self::Written { path: path.to_owned(), cause: Box::new(self) }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, what: path.display().to_string(), source }
    }

    /// The kind of the error, for JSON.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_)
            | Self::Format(_)
            | Self::Key { .. }
            | Self::KeyTooLong { .. }
            | Self::NotRaw { .. } => "usage",
            Self::Input { .. }
            | Self::NoEntries { .. }
            | Self::Duplicate { .. }
            | Self::Entry { .. } => "input",
            Self::Interrupted(_) | Self::SplitInterrupted(_) | Self::MergeInterrupted { .. } => {
                "interrupted"
            }
            Self::NotOurs(_)
            | Self::Original(_)
            | Self::NoFirstCommit(_)
            | Self::NoCurrent { has_files: false, .. } => "not_a_directory_of_ours",
            Self::Store(
                StoreError::Conflict { .. }
                | StoreError::Taken { .. }
                | StoreError::Changed { .. }
                | StoreError::Claimed { .. },
            ) => "conflict",
            Self::Store(StoreError::HoldsShard { .. } | StoreError::HoldsAll { .. }) => "conflict",
            // A router that asks the wrong shard is told so.
            Self::Read(ReadError::OfOtherShard { .. }) => "other_shard",
            Self::Store(StoreError::Unknown { .. } | StoreError::Doubtful { .. }) => "unknown",
            Self::Store(StoreError::BadUrl { .. } | StoreError::ReadOnly { .. }) => "usage",
            Self::Store(
                StoreError::Request { .. }
                | StoreError::NoBucket { .. }
                | StoreError::NoListing { .. },
            ) => "io",
            Self::Live { .. } | Self::Written { .. } => "live",
            Self::Io { .. } | Self::Output(_) => "io",
            error => match error.is_damage() {
                true => "damaged",
                false => "failed",
            },
        }
    }

    /// The exit code of the error. A closed output pipe is not a failure: its code is `Success`.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Live { .. } | Self::Written { .. } => Exit::Live,
            // It may be live, so the command must not be repeated without a look.
            Self::Store(StoreError::Unknown { .. } | StoreError::Doubtful { .. }) => Exit::Live,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            error if error.is_damage() => Exit::Damaged,
            // An error that is no damage.
            _ => Exit::Failure,
        }
    }

    /// Whether a file is damaged, or no file of ours.
    const fn is_damage(&self) -> bool {
        match self {
            Self::Read(error) => error.is_corruption(),
            Self::Merge(error) => error.is_corruption(),
            Self::Store(error) => error.is_corruption(),
            Self::Publish(error) => error.is_corruption(),
            Self::NotAnSst(_) | Self::Damaged { .. } | Self::NoCurrent { has_files: true, .. } => {
                true
            }
            Self::Bulk(_)
            | Self::Usage(_)
            | Self::Format(_)
            | Self::Key { .. }
            | Self::KeyTooLong { .. }
            | Self::NotRaw { .. }
            | Self::NoCurrent { has_files: false, .. }
            | Self::NoFirstCommit(_)
            | Self::Io { .. }
            | Self::Input { .. }
            | Self::NoEntries { .. }
            | Self::Duplicate { .. }
            | Self::Entry { .. }
            | Self::Interrupted(_)
            | Self::SplitInterrupted(_)
            | Self::MergeInterrupted { .. }
            | Self::NotOurs(_)
            | Self::Original(_)
            | Self::Live { .. }
            | Self::Written { .. }
            | Self::Internal(_)
            | Self::Output(_) => false,
        }
    }

    /// Whether no message is printed: the reader of our output has gone away.
    pub(crate) fn is_silent(&self) -> bool {
        self.exit() == Exit::Success
    }
}

fn suffix_of_other(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" of {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_after_a_commit_has_an_exit_code_of_its_own() {
        let refused = |kind| CliError::Output(io::Error::from(kind)).after_commit("db".as_ref(), 7);
        assert_eq!(refused(io::ErrorKind::StorageFull).exit(), Exit::Live);
        assert_eq!(refused(io::ErrorKind::BrokenPipe).exit(), Exit::Success);
    }

    #[test]
    fn a_cancellation_is_an_interruption_wherever_it_was_noticed() {
        for error in [
            CliError::Bulk(BulkError::Cancelled),
            CliError::Bulk(BulkError::Publish(PublishError::Cancelled)),
            CliError::Publish(PublishError::Cancelled),
            CliError::Merge(MergeError::Cancelled),
            CliError::Merge(MergeError::Publish(PublishError::Cancelled)),
        ] {
            let error = error.into_interrupted("db".as_ref());
            assert!(matches!(error, CliError::Interrupted(_)), "{error:?}");
        }
        let error = CliError::Bulk(BulkError::Failed).into_interrupted("db".as_ref());
        assert!(matches!(error, CliError::Bulk(BulkError::Failed)), "{error:?}");
    }

    #[test]
    fn a_merge_in_place_is_said_to_have_changed_nothing_only_if_it_has_not() {
        let interrupted = |done| {
            CliError::Publish(PublishError::Cancelled).into_interrupted_at("db".as_ref(), done, 3)
        };
        assert!(matches!(interrupted(0), CliError::Interrupted(_)));
        assert!(matches!(interrupted(2), CliError::MergeInterrupted { families: 3, done: 2, .. }));
        assert_eq!(interrupted(2).exit(), Exit::Failure);
    }
}
