//! A commit whose files are durable and which no reader sees yet.

use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::{ContentDigest, FamilyCertificate, ValueDigest};
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileName};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta, planted};

use super::{Commit, Outcome};
use crate::publish::directory_state::Continued;
use crate::{AtomicFile, CommitInfo, Monitor, PublishError, TableDigest};

/// A commit whose tables and blobs are durable and whose description is in memory. It is not
/// visible yet. See [`Commit::prepare`].
///
/// This is the place to read back what the device has stored: `sst_merge::certify` compares it with
/// the digests of what was put in, and hands over a certificate. Dropped, the commit leaves nothing
/// behind.
///
/// # Examples
///
/// ```
/// use sst_writer::{Publisher, PublisherOptions, WriterOptions};
///
/// let parent = tempfile::tempdir()?;
/// let mut publisher = Publisher::open(parent.path().join("db"), PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// let mut table = commit.create_table(WriterOptions::default())?;
/// table.add(("key", "value"))?;
/// commit.add_table(table.finish()?)?;
/// let prepared = commit.prepare()?;
/// assert_eq!(prepared.tables().len(), 1);
/// assert_eq!(prepared.base(), None);
/// prepared.publish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PreparedCommit<'p> {
    pub(super) commit: Commit<'p>,
    /// The commit before, without the tables that this one makes obsolete.
    pub(super) continued: Continued,
    /// Records of the blobs that the tables refer to.
    pub(super) blobs: Vec<BlobRecord>,
    /// Certificates of families, ascending.
    pub(super) certificates: Vec<FamilyCertificate>,
}

impl<'p> PreparedCommit<'p> {
    pub(super) fn new(commit: Commit<'p>) -> Result<Self, PublishError> {
        commit.publisher.check_usable()?;
        commit.publisher.check_unchanged()?;
        let blobs = commit.blob_records()?;
        commit.files.end();
        let base = commit.base();
        let continued = base.without(commit.family, &commit.obsolete);
        let is_unchanged = commit.tables.is_empty() && commit.obsolete.is_empty();
        let mut certificates = base.certificates().to_vec();
        // A certificate holds as long as nothing of its family changes.
        certificates.retain(|known| is_unchanged || known.family != commit.family);
        Ok(Self { commit, continued, blobs, certificates })
    }

    /// The directory that the commit is made in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.commit.directory()
    }

    /// The family whose tables the commit changes.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.commit.family()
    }

    /// The commit that is visible now and that this one continues; `None` before the first.
    #[must_use]
    pub const fn base(&self) -> Option<SequenceNumber> {
        self.commit.publisher.current()
    }

    /// The tables of the commit with their descriptions, the oldest first.
    #[must_use]
    pub fn tables(&self) -> &[(SequenceNumber, SstMeta)] {
        self.commit.tables()
    }

    /// Digest of the entries that were put into a table of this commit; `None` for a copied table,
    /// or if [`PublisherOptions::digest`](crate::PublisherOptions::digest) is off.
    #[must_use]
    pub fn table_digest(&self, table: SequenceNumber) -> Option<&TableDigest> {
        self.commit.digests.get(&table)
    }

    /// Tables of earlier commits and of this family that are not live in this one.
    #[must_use]
    pub fn obsolete(&self) -> &[SequenceNumber] {
        &self.continued.obsolete
    }

    /// Records of the blobs that the tables of the commit refer to.
    #[must_use]
    pub fn blobs(&self) -> &[BlobRecord] {
        &self.blobs
    }

    /// Digest of the value that was put into a blob of this commit; `None` for a copied blob, for a
    /// blob of an earlier commit, or if
    /// [`PublisherOptions::digest`](crate::PublisherOptions::digest) is off.
    #[must_use]
    pub fn blob_digest(&self, blob: BlobNumber) -> Option<ValueDigest> {
        self.commit.files.blob(blob)?.digest
    }

    /// Whether digests were taken of everything that was put in:
    /// [`PublisherOptions::digest`](crate::PublisherOptions::digest).
    #[must_use]
    pub const fn has_digests(&self) -> bool {
        self.commit.publisher.options().digest
    }

    /// Observes and cancels the commit:
    /// [`PublisherOptions::monitor`](crate::PublisherOptions::monitor).
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        self.commit.monitor()
    }

    /// See [`Commit::drop_cache`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        self.commit.drop_cache(file)
    }

    /// Certificates of families that the commit will have, ascending: those of the commit before,
    /// of families that have not changed, and the one of [`PreparedCommit::certify`].
    #[must_use]
    pub fn certificates(&self) -> &[FamilyCertificate] {
        &self.certificates
    }

    /// Certifies the family of the commit: `content` is the digest of its live entries, tables of
    /// earlier commits included (FORMAT.md section 12). The caller has read them from the device
    /// and has compared the tables of this commit with [`PreparedCommit::table_digest`];
    /// `sst_merge::certify` does both.
    pub fn certify(&mut self, content: ContentDigest) {
        let family = self.commit.family;
        self.certificates.retain(|known| known.family != family);
        self.certificates.push(FamilyCertificate { family, content });
        self.certificates.sort_by_key(|certificate| certificate.family);
    }

    /// Makes the commit visible, in one step: writes the meta file, reads it back from the device,
    /// and replaces `CURRENT`.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; readers go on with the commit before. [`PublishError::NotAsWritten`] if
    /// the device does not hold the bytes that were written. In one case it is unknown which of the
    /// two commits is on disk: if `CURRENT` could not be replaced, or not be synced or read after
    /// that. The publisher is then poisoned, and [`Publisher::open`](crate::Publisher::open) finds
    /// out.
    pub fn publish(mut self) -> Result<CommitInfo, PublishError> {
        self.commit.publisher.check_usable()?;
        self.monitor().check()?;
        planted!("inputs-removed-early" => self.remove_obsolete());
        let (state, sequence) = self.write_meta_files()?;
        self.commit.publisher.check_unchanged()?;
        self.replace_current(sequence)?;
        let not_removed = self.commit.publisher.advance(state);
        let certificates = std::mem::take(&mut self.certificates);
        Ok(CommitInfo { sequence, certificates, not_removed })
    }

    /// A planted bug: removes obsolete tables while readers still need them.
    #[cfg(sst_planted)]
    fn remove_obsolete(&self) {
        for &sequence in &self.commit.obsolete {
            let path = self
                .commit
                .files
                .path(FileName { sequence, kind: sst_format::file_name::FileKind::Sst });
            _ = self.commit.files.file_system.remove(&path);
        }
    }

    /// Replaces `CURRENT`, the commit point, and reads it back.
    fn replace_current(&mut self, sequence: SequenceNumber) -> Result<(), PublishError> {
        let files = Arc::clone(&self.commit.files);
        let path = files.directory.join(CURRENT_FILE_NAME);
        let bytes = Current::encode(sequence, crc32fast::hash);
        let mut file = AtomicFile::replacing(Arc::clone(&files.file_system), &path)?;
        file.write(&bytes)?;
        file.replace(|| self.commit.outcome = Outcome::Unknown)?;
        // The files of the commit before are still there. They stay if `CURRENT` is not what it
        // should be.
        files.check_written(&path, &bytes).inspect_err(|_| self.commit.publisher.poison())?;
        self.commit.outcome = Outcome::Published;
        Ok(())
    }
}
