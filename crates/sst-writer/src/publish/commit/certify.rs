//! Certificates: a commit says what is in it, once that has been read back from disk (FORMAT.md section 12).

use std::sync::PoisonError;

use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::{FileKind, FileName};

use super::Commit;
use crate::PublishError;
use crate::publish::directory_state::DirectoryState;
use crate::publish::read_back::content_reader::{Content, ContentReader};
use crate::publish::read_back::live_entries::WalkedTable;
use crate::publish::read_back::table_defect::TableDefect;

impl Commit<'_> {
    /// What the commit can say of the content of families: of its own family what is on disk, if the publisher is to certify,
    /// of the others what the commit before says. `state` is what stays of that.
    pub(super) fn certificates(
        &self,
        state: &DirectoryState,
    ) -> Result<Vec<FamilyCertificate>, PublishError> {
        let base = self.base.as_ref().unwrap_or_else(|| self.publisher.state());
        let is_unchanged = self.tables.is_empty() && self.obsolete.is_empty();
        let mut known: Vec<_> = base.certificates().to_vec();
        if is_unchanged && known.iter().any(|known| known.family == self.family) {
            return Ok(known);
        }
        known.retain(|known| known.family != self.family);
        if self.publisher.options().certify {
            let content = self.read_back(state)?.live;
            known.push(FamilyCertificate { family: self.family, content });
            known.sort_by_key(|certificate| certificate.family);
        }
        Ok(known)
    }

    /// Reads the live tables of the family from disk, and compares those of this commit with what was put into them.
    fn read_back(&self, state: &DirectoryState) -> Result<Content, PublishError> {
        let (file_system, directory) = (&*self.context.file_system, &*self.context.directory);
        let mut described = state.describe(file_system, directory, self.family)?;
        described.extend(self.tables.iter().cloned());
        let walked = described.into_iter().rev().map(|(sequence, meta)| {
            let name = FileName { sequence, kind: FileKind::Sst };
            WalkedTable { path: directory.join(name.to_string()), meta }
        });
        let walked: Vec<_> = walked.collect();
        let own = self.blob_records()?;
        let blobs = state.blobs().chain(&own).map(|blob| (blob.number, *blob)).collect();
        let cancel = &self.context.cancel;
        let reader = ContentReader { file_system, directory, blobs: &blobs, cancel };
        let content = reader.read(&walked, self.tables.len())?;
        let put = self.context.blob_digests.lock().unwrap_or_else(PoisonError::into_inner);
        let newest_first = self.tables.iter().rev().zip(&walked).zip(&content.tables);
        for (((sequence, _), table), found) in newest_first {
            let Some(digest) = self.digests.get(sequence) else { continue };
            // Of a blob that was copied or was there before, what is there is all that is known.
            let value = |blob| put.get(&blob).or_else(|| content.blobs.get(&blob)).copied();
            let expected = digest
                .with_blobs(value)
                .map_err(|blob| PublishError::UnknownBlob { table: *sequence, blob })?;
            if expected != *found {
                let (expected, found) = (Box::new(expected), Box::new(*found));
                return Err(PublishError::BadTable {
                    path: table.path.clone(),
                    block: None,
                    reason: TableDefect::Content { expected, found },
                });
            }
        }
        drop(put);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use sst_format::BlobNumber;

    use super::*;
    use crate::table::entry_digester::{DigestedValue, EntryDigester};
    use crate::{Publisher, PublisherOptions, WriterOptions};

    /// Publishes a table of one entry of which the digest says something else. Returns why not.
    fn refused(put: DigestedValue<'_>, written: &str) -> Option<TableDefect> {
        let directory = tempfile::tempdir().unwrap();
        let options = PublisherOptions::default().certify(true);
        let mut publisher = Publisher::open(directory.path(), options).unwrap();
        let mut commit = publisher.begin();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(("key", written)).unwrap();
        let table = table.finish().unwrap();
        let sequence = table.sequence();
        commit.add_table(table).unwrap();
        let mut digester = EntryDigester::default();
        digester.add(b"key", put);
        commit.digests.insert(sequence, digester.finish());
        match commit.publish() {
            Ok(_) => None,
            Err(PublishError::BadTable { reason, .. }) => {
                assert_eq!(publisher.current(), None);
                Some(reason)
            }
            Err(PublishError::UnknownBlob { blob, .. }) => Some(TableDefect::UnlistedBlob { blob }),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_on_disk_must_be_what_was_put_in() {
        assert_eq!(refused(DigestedValue::Bytes(b"value"), "value"), None);
        for put in [DigestedValue::Bytes(b"valuE"), DigestedValue::Deleted] {
            let defect = refused(put, "value");
            assert!(matches!(defect, Some(TableDefect::Content { .. })), "{defect:?}");
        }
        let blob = BlobNumber(9);
        let defect = refused(DigestedValue::Blob(blob), "value");
        assert_eq!(defect, Some(TableDefect::UnlistedBlob { blob }));
    }
}
