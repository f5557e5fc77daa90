//! Events for the `tracing` crate, if the feature of that name is on. None is on the path of a warm
//! lookup.

use std::path::Path;

use sst_format::SequenceNumber;

/// A table of a set is about to be opened.
#[inline]
pub(crate) fn opening_table(dir: &Path, table: SequenceNumber) {
    #[cfg(feature = "tracing")]
    tracing::debug!(dir = %dir.display(), %table, "open table");
    #[cfg(not(feature = "tracing"))]
    let _ = (dir, table);
}

/// A set was opened without a filter, and some of its tables have one. Said once for each set that
/// is opened, not for those that it is refreshed to.
#[inline]
pub(crate) fn filters_unused(dir: &Path, tables: usize) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        dir = %dir.display(),
        tables,
        "filters are not used: add ReaderOptions::filter(QuotientFilter::default()) of sst-amqf"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (dir, tables);
}

/// A set was refreshed to a newer commit.
#[inline]
pub(crate) fn refreshed(dir: &Path, from: SequenceNumber, to: SequenceNumber) {
    #[cfg(feature = "tracing")]
    tracing::info!(dir = %dir.display(), %from, %to, "refresh to a newer commit");
    #[cfg(not(feature = "tracing"))]
    let _ = (dir, from, to);
}

/// A file of a set's commit is gone, because a newer commit did away with it.
#[inline]
pub(crate) fn outdated(file: &Path, commit: SequenceNumber, current: SequenceNumber) {
    #[cfg(feature = "tracing")]
    tracing::warn!(file = %file.display(), %commit, %current, "snapshot is outdated");
    #[cfg(not(feature = "tracing"))]
    let _ = (file, commit, current);
}
