//! A merge keeps the certificate of its directory (FORMAT.md section 12).

use std::collections::HashSet;

use sst_format::SequenceNumber;
use sst_format::content_digest::ContentDigest;
use sst_reader::{Catalog, CatalogTable};
use sst_writer::publish::PreparedCommit;

use super::read_back::ReadBack;
use crate::{Duplicates, MergeError, Monitor, OlderTables};

/// A merge in place whose output is written and not visible yet.
pub(crate) struct MergedInPlace<'m> {
    /// The commit that the merge started from.
    pub(crate) base: &'m Catalog,
    /// The tables of the family that were merged.
    pub(crate) merged: &'m HashSet<SequenceNumber>,
    /// The tables that were not merged.
    pub(crate) older: &'m OlderTables,
    pub(crate) duplicates: Duplicates,
}

impl MergedInPlace<'_> {
    /// Gives the certificate of the family, if it has one, to the commit that replaces its tables.
    /// Returns whether it did: then lookups are known to answer as before.
    ///
    /// The newest entries of what was merged are compared with those of what was written, which is
    /// read back from the device. For example, a merge of the two newest of five tables reads these
    /// two and its output. If all tables were merged, the certificate says what their newest
    /// entries are, and only the output is read.
    ///
    /// Tombstones count where an older table may hold their hash: without them, other entries
    /// would be live.
    ///
    /// With [`Duplicates::Keep`] the output shows lookups of one value more than the newest table
    /// did, where a key was in several. The commit has no certificate then.
    ///
    /// # Errors
    ///
    /// [`MergeError::NotAsMerged`] if the entries differ and nothing explains it: the merge is
    /// wrong, or the device is. [`MergeError::Read`] if the output or an input is damaged.
    pub(crate) fn keep_certificate(
        &self,
        prepared: &mut PreparedCommit<'_>,
        monitor: &Monitor,
    ) -> Result<bool, MergeError> {
        let family = prepared.family();
        // Without a certificate there is none to keep.
        let Some(certified) = self.base.certificate(family) else { return Ok(false) };
        let merged = self.merged(family);
        let is_whole = merged.len() == self.tables(family).count();
        let expected = match is_whole {
            true => certified,
            false => {
                let mut catalog = self.base.clone();
                catalog.tables = merged;
                let mut inputs = ReadBack::cached(catalog, family, &*prepared, monitor);
                inputs.newest_entries(self.older)?
            }
        };
        let found = {
            let written = Catalog::empty(prepared.directory()).followed_by(
                family,
                prepared.tables(),
                &[],
                prepared.blobs(),
            );
            let mut written = ReadBack::new(written, family, &*prepared, monitor);
            written.verify()?;
            written.newest_entries(self.older)?
        };
        let is_same = self.compare(expected, found)?;
        if is_same {
            prepared.certify(certified);
        }
        Ok(is_same)
    }

    /// Compares a certificate made by reading the whole family back with the one before the merge.
    /// Returns whether there was one and it is equal.
    pub(crate) fn check(&self, family: u32, found: ContentDigest) -> Result<bool, MergeError> {
        self.base.certificate(family).map_or(Ok(false), |certified| self.compare(certified, found))
    }

    /// Whether the digests are equal. They may differ only if entries of several tables were kept.
    fn compare(&self, expected: ContentDigest, found: ContentDigest) -> Result<bool, MergeError> {
        match expected == found || self.duplicates == Duplicates::Keep {
            true => Ok(expected == found),
            false => {
                let (expected, found) = (Box::new(expected), Box::new(found));
                Err(MergeError::NotAsMerged { expected, found })
            }
        }
    }

    /// The tables of the family, the newest first.
    fn tables(&self, family: u32) -> impl Iterator<Item = &CatalogTable> {
        self.base.tables.iter().filter(move |table| table.family == family)
    }

    /// The tables that were merged, the newest first.
    fn merged(&self, family: u32) -> Vec<CatalogTable> {
        let merged = |table: &&CatalogTable| self.merged.contains(&table.sequence);
        self.tables(family).filter(merged).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sst_format::file_name::{FileKind, FileName};
    use sst_reader::Corruption;
    use sst_writer::table::hash_key;
    use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

    use super::*;

    /// Entries of one table: key, and value or tombstone.
    type Rows<'r> = &'r [(&'r str, Option<&'r str>)];

    fn publisher(directory: &Path, digest: bool) -> Publisher {
        Publisher::open(directory, PublisherOptions::default().digest(digest)).unwrap()
    }

    fn write(
        commit: &sst_writer::publish::Commit<'_>,
        rows: Rows<'_>,
    ) -> sst_writer::publish::FinishedTable {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|(key, _)| hash_key(key.as_bytes()));
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        for (key, value) in rows {
            let value = match value {
                Some(value) => EntryValue::Inline(value.as_bytes()),
                None => EntryValue::Deleted,
            };
            table.add((key, value)).unwrap();
        }
        table.finish().unwrap()
    }

    /// A certified directory with these tables, the oldest first, each a commit.
    fn certified(directory: &Path, tables: &[Rows<'_>]) {
        let mut publisher = publisher(directory, true);
        for rows in tables {
            let mut commit = publisher.begin();
            let table = write(&commit, rows);
            commit.add_table(table).unwrap();
            crate::publish(commit, &Monitor::default()).unwrap();
        }
    }

    /// The outcome of a merge of the `replaced` newest tables that wrote `rows`: whether the commit
    /// has the certificate of the one before. `damage` happens to the table on disk.
    fn merged(
        directory: &Path,
        replaced: usize,
        rows: Rows<'_>,
        duplicates: Duplicates,
        damage: fn(&mut Vec<u8>),
    ) -> Result<bool, MergeError> {
        let base = Catalog::read(directory).unwrap();
        let older = base.tables.iter().skip(replaced).map(|table| &table.record);
        let older = OlderTables::of(older.map(|table| table.min_hash..=table.max_hash));
        let mut publisher = publisher(directory, false);
        let mut commit = publisher.begin();
        let table = write(&commit, rows);
        commit.add_table(table).unwrap();
        let merged: HashSet<_> =
            base.tables.iter().take(replaced).map(|table| table.sequence).collect();
        for table in &merged {
            commit.obsolete(*table).unwrap();
        }
        let mut prepared = commit.prepare().unwrap();
        let name = FileName { sequence: prepared.tables()[0].0, kind: FileKind::Sst };
        let path = directory.join(name.to_string());
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        MergedInPlace { base: &base, merged: &merged, older: &older, duplicates }
            .keep_certificate(&mut prepared, &Monitor::default())?;
        Ok(prepared.certificates() == base.certificates)
    }

    const OLDEST: Rows<'_> = &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))];
    const NEXT: Rows<'_> = &[("b", None), ("d", Some("2"))];
    const NEWEST: Rows<'_> = &[("c", Some("3")), ("e", Some("3"))];
    const ALL: Rows<'_> = &[("a", Some("1")), ("c", Some("3")), ("d", Some("2")), ("e", Some("3"))];
    const NEWEST_TWO: Rows<'_> =
        &[("b", None), ("c", Some("3")), ("d", Some("2")), ("e", Some("3"))];

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        certified(directory.path(), &[OLDEST, NEXT, NEWEST]);
        directory
    }

    #[test]
    fn a_right_merge_keeps_the_certificate() {
        for (replaced, rows) in [(3, ALL), (2, NEWEST_TWO), (1, NEWEST)] {
            let directory = directory();
            let kept = merged(directory.path(), replaced, rows, Duplicates::Newest, |_| ());
            assert!(kept.unwrap(), "{replaced}");
        }
    }

    #[test]
    fn a_wrong_merge_is_refused() {
        let wrong: [(usize, Rows<'_>); 6] = [
            // An entry is missing, changed, one too many, or the hidden one.
            (3, &[("a", Some("1")), ("c", Some("3")), ("d", Some("2"))]),
            (3, &[("a", Some("1")), ("c", Some("3")), ("d", Some("2")), ("e", Some("4"))]),
            (
                3,
                &[
                    ("a", Some("1")),
                    ("b", Some("1")),
                    ("c", Some("3")),
                    ("d", Some("2")),
                    ("e", Some("3")),
                ],
            ),
            (3, &[("a", Some("1")), ("c", Some("1")), ("d", Some("2")), ("e", Some("3"))]),
            // Without its tombstone `b` would be live again.
            (2, &[("c", Some("3")), ("d", Some("2")), ("e", Some("3"))]),
            (2, &[("b", None), ("c", None), ("d", Some("2")), ("e", Some("3"))]),
        ];
        for (replaced, rows) in wrong {
            let directory = directory();
            let error = merged(directory.path(), replaced, rows, Duplicates::Newest, |_| ());
            assert!(matches!(error, Err(MergeError::NotAsMerged { .. })), "{rows:?}: {error:?}");
        }
    }

    #[test]
    fn output_that_the_device_does_not_hold_is_refused() {
        let directory = directory();
        let damage = |bytes: &mut Vec<u8>| bytes[10] ^= 1;
        let error = merged(directory.path(), 3, ALL, Duplicates::Newest, damage);
        let Err(MergeError::Read(sst_reader::ReadError::Corrupt { cause, .. })) = error else {
            panic!("{error:?}")
        };
        assert!(matches!(cause, Corruption::HeaderMismatch { .. } | Corruption::Checksum { .. }));
    }

    /// Lookups of one value may find another one of those that are kept.
    #[test]
    fn a_merge_that_keeps_entries_of_several_tables_loses_the_certificate() {
        let directory = directory();
        let rows: Rows<'_> =
            &[("a", Some("1")), ("c", Some("1")), ("d", Some("2")), ("e", Some("3"))];
        let kept = merged(directory.path(), 3, rows, Duplicates::Keep, |_| ());
        assert!(!kept.unwrap());
        let kept = merged(directory.path(), 3, ALL, Duplicates::Keep, |_| ());
        assert!(kept.unwrap());
    }
}
