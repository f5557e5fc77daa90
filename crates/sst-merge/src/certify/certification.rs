//! The certification of a commit that is not visible yet (FORMAT.md section 12).

use sst_format::BlobNumber;
use sst_format::content_digest::{ContentDigest, ValueDigest};
use sst_reader::Catalog;
use sst_writer::publish::{Commit, CommitInfo, PreparedCommit, TableOrigin};
use sst_writer::table::TableDigest;
use sst_writer::{Monitor, PublishError};

use super::read_back::{ReadBack, TableContent};
use crate::MergeError;

/// Certifies a commit that is not visible yet: reads every byte of the live tables of its family
/// from the device, older tables too, and the blobs that they refer to; compares each new table
/// with the digest of the entries that were put into it; and hands the digest of the live entries
/// to the commit. Returns that digest.
///
/// A commit that does not change a certified family keeps its certificate, and nothing is read.
///
/// O(bytes of all live tables of the family), with two SHA-256 for each entry. Memory: a few blocks
/// for each layer of overlapping tables, and the longest blob.
///
/// # Errors
///
/// [`MergeError::NoDigests`] without
/// [`PublisherOptions::digest`](sst_writer::PublisherOptions::digest); [`MergeError::Content`] or
/// [`MergeError::Read`] if the device does not hold what was put in; [`MergeError::Cancelled`].
/// Drop the commit then, and the directory is as before.
///
/// # Examples
///
/// ```
/// use sst_merge::{Monitor, certify};
/// use sst_reader::{ReaderOptions, SstSet};
/// use sst_writer::{Publisher, PublisherOptions, WriterOptions};
///
/// let parent = tempfile::tempdir()?;
/// let directory = parent.path().join("db");
/// let options = PublisherOptions::default().digest(true);
/// let mut publisher = Publisher::open(&directory, options)?;
/// let mut commit = publisher.begin();
/// let mut table = commit.create_table(WriterOptions::default())?;
/// table.add(("key", "value"))?;
/// commit.add_table(table.finish()?)?;
/// let mut prepared = commit.prepare()?;
/// let digest = certify(&mut prepared, &Monitor::default())?;
/// prepared.publish(&Monitor::default())?;
/// let set = SstSet::open(&directory, &ReaderOptions::default())?;
/// assert_eq!(set.certificate(), Some(digest));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn certify(
    prepared: &mut PreparedCommit<'_>,
    monitor: &Monitor,
) -> Result<ContentDigest, MergeError> {
    let family = prepared.family();
    if let Some(known) = prepared.certificates().iter().find(|known| known.family == family) {
        return Ok(known.content);
    }
    if !prepared.has_digests() {
        return Err(MergeError::NoDigests);
    }
    let directory = prepared.directory();
    let base = match prepared.base() {
        Some(_) => Catalog::read(directory)?,
        None => Catalog::empty(directory),
    };
    let (tables, obsolete, blobs) = (prepared.tables(), prepared.obsolete(), prepared.blobs());
    let catalog = base.followed_by(family, tables, obsolete, blobs);
    let mut read_back = ReadBack::new(catalog, family, &*prepared, monitor);
    let content = read_back.read(tables.len())?;
    // Both lists have the newest table first.
    let put: Vec<_> = tables.iter().rev().map(|(sequence, _)| *sequence).collect();
    let read: Vec<_> = content.newest.iter().map(|table| table.sequence).collect();
    if put != read {
        return Err(MergeError::internal("reading a commit back reads each of its tables"));
    }
    for table in &content.newest {
        compare(prepared, table, &read_back)?;
    }
    prepared.certify(content.live);
    Ok(content.live)
}

/// Compares a table of the commit, as it was read, with the entries that were put into it.
fn compare(
    prepared: &PreparedCommit<'_>,
    found: &TableContent,
    read_back: &ReadBack<'_>,
) -> Result<(), MergeError> {
    let sequence = found.sequence;
    let digest = match prepared.table_origin(sequence) {
        Some(TableOrigin::Written(Some(digest))) => digest,
        // Reading it back has compared its blocks with its description, which came with the file.
        Some(TableOrigin::Copied | TableOrigin::OfTask) => return Ok(()),
        Some(TableOrigin::Written(None)) | None => {
            return Err(MergeError::internal(
                "a commit with digests has one for each written table",
            ));
        }
    };
    // Of a blob that was copied or was there before, only the file itself tells what is in it.
    let value = |blob| prepared.blob_digest(blob).or_else(|| read_back.blob(blob));
    compare_digest(digest, value, found)
}

/// Compares a table, as it was read, with the digest of the entries that were put into it. `value`
/// has the digests of blobs.
pub(super) fn compare_digest(
    digest: &TableDigest,
    value: impl Fn(BlobNumber) -> Option<ValueDigest>,
    found: &TableContent,
) -> Result<(), MergeError> {
    let expected = digest
        .with_blobs(value)
        .map_err(|blob| PublishError::UnknownBlob { table: found.sequence, blob })?;
    if expected != found.all {
        let path = found.path.clone();
        let (expected, found) = (Box::new(expected), Box::new(found.all));
        return Err(MergeError::Content { path, expected, found });
    }
    Ok(())
}

/// Publishes a commit, and certifies it first if its publisher takes digests
/// ([`PublisherOptions::digest`](sst_writer::PublisherOptions::digest)): all that is read back then
/// takes as long as reading the commit. Without digests it does the same as [`Commit::publish`].
///
/// # Errors
///
/// As [`certify`] and [`PreparedCommit::publish`].
pub fn publish(commit: Commit<'_>, monitor: &Monitor) -> Result<CommitInfo, MergeError> {
    let mut prepared = commit.prepare()?;
    if prepared.has_digests() {
        certify(&mut prepared, monitor)?;
    }
    Ok(prepared.publish(monitor)?)
}

#[cfg(test)]
mod tests {
    use sst_writer::{Publisher, PublisherOptions, WriterOptions};

    use super::*;

    /// A device that answers with another table, whole and with every checksum right.
    #[test]
    fn a_table_of_other_entries_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let mut publishers = ["value", "valuE"].map(|value| {
            let options = PublisherOptions::default().digest(true);
            let publisher = Publisher::open(parent.path().join(value), options).unwrap();
            (publisher, value)
        });
        let prepared: Vec<_> = publishers
            .iter_mut()
            .map(|(publisher, value)| {
                let mut commit = publisher.begin();
                let mut table = commit.create_table(WriterOptions::default()).unwrap();
                table.add(("key", *value)).unwrap();
                commit.add_table(table.finish().unwrap()).unwrap();
                commit.prepare().unwrap()
            })
            .collect();
        let monitor = Monitor::default();
        for (i, put) in prepared.iter().enumerate() {
            for (j, stored) in prepared.iter().enumerate() {
                let catalog = Catalog::empty(stored.directory());
                let catalog = catalog.followed_by(0, stored.tables(), &[], &[]);
                let mut read_back = ReadBack::new(catalog, 0, stored, &monitor);
                let content = read_back.read(1).unwrap();
                match compare(put, &content.newest[0], &read_back) {
                    Ok(()) => assert_eq!(i, j),
                    Err(MergeError::Content { path, expected, found }) => {
                        assert!(i != j && expected != found);
                        assert!(path.starts_with(stored.directory()));
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }
}
