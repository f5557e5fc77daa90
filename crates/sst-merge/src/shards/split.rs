//! Shards as directories.

use std::path::Path;

use sst_format::SequenceNumber;
use sst_writer::file::FileError;
use sst_writer::{Publisher, PublisherOptions};

use crate::{
    Inputs, MergeError, MergeOptions, MergeReport, Monitor, OlderTables, Progress, ShardMap,
    merge_into_commit,
};

/// One shard, published.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shard {
    /// Figures of the merge of its hashes.
    pub report: MergeReport,
    /// Its commit.
    pub commit: SequenceNumber,
    /// Files of earlier commits that could not be removed.
    pub not_removed: Vec<FileError>,
}

/// Writes the live entries of each shard into a directory of its own, which then holds them and
/// nothing else in this family. `publisher` says how directories are opened; `directory` names the
/// directory of a shard by its number; it is made if it does not exist. A shard without entries is
/// an empty directory with a commit.
///
/// Shards are published one after the other. Each is there whole or not at all; after an error or a
/// crash some may be published and others not, and the same call again completes them.
/// [`MergeOptions::hashes`] and [`MergeOptions::older`] are ignored.
///
/// # Errors
///
/// [`MergeError`].
pub fn split<P: AsRef<Path>>(
    inputs: &Inputs,
    map: &ShardMap,
    family: u32,
    options: &MergeOptions,
    publisher: &PublisherOptions,
    mut directory: impl FnMut(usize) -> P,
    monitor: &Monitor,
) -> Result<Vec<Shard>, MergeError> {
    let total = inputs.entry_count();
    let mut done = 0;
    let mut shards = Vec::with_capacity(map.shard_count());
    for (number, hashes) in map.ranges().enumerate() {
        let mut publisher = Publisher::open(directory(number), publisher.clone())?;
        let mut commit = publisher.begin_family(family);
        commit.replace_all();
        let mut report = MergeReport::default();
        if let Some(hashes) = hashes {
            let options = options.clone().older(OlderTables::none()).hashes(hashes);
            let of_all = monitor.clone();
            let of_shard = Monitor::default().cancel(monitor.token().clone()).progress(
                move |progress: Progress| {
                    let entries = done + progress.entries;
                    of_all.report(progress.entries(entries).total_entries(total));
                },
            );
            report = merge_into_commit(inputs, &mut commit, &options, &of_shard)?;
        }
        done += report.read;
        let info = commit.publish(monitor)?;
        let (commit, not_removed) = (info.commit, info.not_removed);
        shards.push(Shard { report, commit, not_removed });
    }
    Ok(shards)
}
