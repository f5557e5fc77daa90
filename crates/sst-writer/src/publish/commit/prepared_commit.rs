//! A commit whose files are written but not visible to readers yet.

use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::{ContentDigest, FamilyCertificate, ValueDigest};
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta, planted};

use super::{Commit, CommitState};
use crate::publish::commit_point::{check_current, replace_current};
use crate::publish::directory_state::BaseState;
use crate::publish::{TableOrigin, del_files};
use crate::{CommitInfo, Monitor, PublishError};

/// A commit of tables and blobs whose contents are durable and whose description is in memory. It
/// is not visible yet. See [`Commit::prepare`].
///
/// At this point the commit can be read back from the device: `sst_merge::certify` compares it with
/// the digests of the entries that were put in, and sets a certificate. If it is dropped, nothing
/// of it stays.
///
/// # Examples
///
/// ```
/// use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};
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
/// prepared.publish(&Monitor::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PreparedCommit<'p> {
    pub(super) commit: Commit<'p>,
    /// The commit before, without the tables that this one makes obsolete.
    pub(super) base_state: BaseState,
    /// Tables of earlier commits of the family that are not live in this one.
    obsolete: Vec<SequenceNumber>,
    /// Records of the blobs to which the tables refer.
    pub(super) blobs: Vec<BlobRecord>,
    /// Certificates of families, in ascending order of families.
    pub(super) certificates: Vec<FamilyCertificate>,
}

impl<'p> PreparedCommit<'p> {
    pub(super) fn new(commit: Commit<'p>) -> Result<Self, PublishError> {
        commit.publisher.check_usable()?;
        commit.publisher.check_unchanged()?;
        let blobs = commit.blob_records()?;
        commit.files.end();
        let base = commit.base();
        let change = &commit.change;
        let base_state = base.without(change.family(), change.obsolete());
        let obsolete = base_state.dead_tables().collect();
        let is_unchanged = commit.tables().is_empty() && change.obsolete().is_empty();
        let mut certificates = base.certificates().to_vec();
        // A certificate stays valid as long as nothing of its family changes.
        certificates.retain(|known| is_unchanged || known.family != change.family());
        Ok(Self { commit, base_state, obsolete, blobs, certificates })
    }

    /// The directory of the commit.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.commit.directory()
    }

    /// The family whose tables the commit changes.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.commit.family()
    }

    /// The commit that is visible now, and that this one continues; `None` before the first commit.
    #[must_use]
    pub const fn base(&self) -> Option<SequenceNumber> {
        self.commit.publisher.current()
    }

    /// The tables of the commit with their descriptions, in the order in which they were added.
    #[must_use]
    pub fn tables(&self) -> &[(SequenceNumber, SstMeta)] {
        self.commit.tables()
    }

    /// Where the entries of a table come from, with their digest if they were put in by the caller.
    /// `None` if this commit has no such table.
    #[must_use]
    pub fn table_origin(&self, table: SequenceNumber) -> Option<&TableOrigin> {
        self.commit.tables.origin(table)
    }

    /// Tables of earlier commits of this family that are not live in this one.
    #[must_use]
    pub fn obsolete(&self) -> &[SequenceNumber] {
        &self.obsolete
    }

    /// Records of the blobs to which the tables of the commit refer.
    #[must_use]
    pub fn blobs(&self) -> &[BlobRecord] {
        &self.blobs
    }

    /// Digest of the value that was put into a blob of this commit.
    ///
    /// `None` for a copied blob, for a blob of an earlier commit, or if
    /// [`PublisherOptions::digest`](crate::PublisherOptions::digest) is off.
    #[must_use]
    pub fn blob_digest(&self, blob: BlobNumber) -> Option<ValueDigest> {
        self.commit.files.blob(blob)?.digest
    }

    /// Whether the publisher computes digests of all entries:
    /// [`PublisherOptions::digest`](crate::PublisherOptions::digest).
    #[must_use]
    pub const fn has_digests(&self) -> bool {
        self.commit.publisher.options().digest
    }

    /// As [`Commit::drop_cache`].
    ///
    /// # Errors
    ///
    /// As [`Commit::drop_cache`].
    pub fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        self.commit.drop_cache(file)
    }

    /// Certificates that the commit will have, in ascending order of families: those of the commit
    /// before for families that have not changed, and the one set by [`PreparedCommit::certify`].
    #[must_use]
    pub fn certificates(&self) -> &[FamilyCertificate] {
        &self.certificates
    }

    /// Sets the certificate of the commit's family.
    ///
    /// `content` is the digest of its live entries, tables of earlier commits included (FORMAT.md
    /// section 12). The caller must have read them from the device, and must have compared the
    /// tables of this commit with [`PreparedCommit::table_origin`]; `sst_merge::certify` does both.
    pub fn certify(&mut self, content: ContentDigest) {
        let family = self.family();
        self.certificates.retain(|known| known.family != family);
        self.certificates.push(FamilyCertificate { family, content });
        self.certificates.sort_by_key(|certificate| certificate.family);
    }

    /// As [`Commit::set_kind`], for a caller that knows the kind only once the commit was read
    /// back.
    pub const fn set_kind(&mut self, kind: CommitKind) {
        self.commit.set_kind(kind);
    }

    /// Makes the commit visible in one step.
    ///
    /// Writes the meta file, reads it back from the device, makes the names of all files of the
    /// commit durable, and replaces `CURRENT`. `monitor` can cancel it until `CURRENT` is replaced.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; readers still see the commit before. [`PublishError::NotAsWritten`] if the
    /// device does not hold the bytes that were written. In one case it is unknown which of the two
    /// commits is on disk: if `CURRENT` could not be replaced, or could not be synced or read after
    /// that. If a sync after the commit fails, between removals of files of earlier commits, the
    /// commit is live. In both cases the publisher is poisoned, and
    /// [`Publisher::open`](crate::Publisher::open) finds out which commit it is.
    pub fn publish(mut self, monitor: &Monitor) -> Result<CommitInfo, PublishError> {
        self.commit.publisher.check_usable()?;
        monitor.check()?;
        planted!("inputs-removed-early" => self.remove_obsolete());
        self.check_names()?;
        let (state, commit) = self.write_meta_files()?;
        let files = &self.commit.files;
        let present = self.commit.publisher.present();
        del_files::spare_live(&files.file_system, &files.directory, present, &state)?;
        // No meta file would tell whose a blob is that no table refers to.
        files.remove_unused(|file| state.needs(file));
        files.sync_names()?;
        monitor.check()?;
        self.replace_current(commit)?;
        let mut not_removed = self.commit.publisher.advance(state)?;
        let (released, left) = self.commit.tasks.release();
        self.commit.publisher.forget_claims(&released);
        not_removed.extend(left);
        let certificates = std::mem::take(&mut self.certificates);
        Ok(CommitInfo { commit, certificates, not_removed })
    }

    /// A planted bug: removes obsolete tables while readers still need them.
    #[cfg(sst_planted)]
    fn remove_obsolete(&self) {
        for &sequence in self.commit.change.obsolete() {
            let path = self.commit.files.path(FileName { sequence, kind: FileKind::Sst });
            _ = self.commit.files.file_system.remove(&path);
        }
    }

    /// Checks that each table and blob of the commit has its name. This finds a system that claims
    /// to have renamed a file and has not: the commit would name a file that is not there.
    fn check_names(&self) -> Result<(), PublishError> {
        let files = &self.commit.files;
        let tables = self.tables().iter().map(|(sequence, _)| (*sequence, FileKind::Sst));
        let blobs = self.blobs.iter().filter(|blob| files.blob(blob.number).is_some());
        let blobs = blobs.map(|blob| (SequenceNumber(blob.number.0), FileKind::Blob));
        for (sequence, kind) in tables.chain(blobs) {
            files.check_present(FileName { sequence, kind })?;
        }
        Ok(())
    }

    /// Replaces `CURRENT`, the commit point, and reads it back.
    fn replace_current(&mut self, sequence: SequenceNumber) -> Result<(), PublishError> {
        let files = Arc::clone(&self.commit.files);
        // Checked as late as possible: a publisher that opens the directory after that, because the
        // lock file was removed, takes the files of this commit for leftovers.
        replace_current(&files.file_system, &files.directory, sequence, || {
            self.commit.publisher.check_unchanged()?;
            self.commit.tasks.check()?;
            self.commit.outcome = CommitState::Unknown;
            Ok(())
        })?;
        // The files of the commit before are still there. They stay if `CURRENT` does not hold the
        // right bytes.
        check_current(&*files.file_system, &files.directory, sequence)
            .inspect_err(|_| self.commit.publisher.poison())?;
        self.commit.outcome = CommitState::Published;
        Ok(())
    }
}
