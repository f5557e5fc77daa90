//! A commit to a bucket.

use std::collections::{BTreeMap, BTreeSet};

use sst_format::content_digest::{ContentDigest, FamilyCertificate};
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_writer::publish::{FamilyChange, NewCommit, TaskTable};
use sst_writer::{PublishError, WriterOptions};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::added_tasks::AddedTasks;
use super::{FinishedObjectTable, ObjectOutput, ObjectPublisher, ObjectTableWriter};
use crate::commit::Swap;
use crate::{Monitor, RemoteCommit, Store, StoreError};

/// How many commits of other writers may overtake one commit.
const MAX_OVERTAKEN: u32 = 1000;

/// A commit that is being made. See [`ObjectPublisher::begin`].
///
/// Readers see nothing of it before [`ObjectCommit::publish`]. If it is dropped, its objects stay
/// without a meaning until garbage is collected.
#[derive(Debug)]
pub struct ObjectCommit<'p> {
    pub(super) publisher: &'p mut ObjectPublisher,
    pub(super) change: FamilyChange,
    pub(super) tables: Vec<(SequenceNumber, SstMeta)>,
    /// The numbers of the tables, which each task that is added is compared with.
    pub(super) numbers: BTreeSet<SequenceNumber>,
    /// The blobs of each table.
    blobs: Vec<Vec<BlobNumber>>,
    pub(super) made_blobs: BTreeMap<BlobNumber, BlobRecord>,
    #[cfg(feature = "read")]
    pub(super) adopted: super::adopt_options::AdoptedTables,
    /// The tasks whose tables were added.
    pub(super) tasks: AddedTasks,
    /// The digest of the live entries of the family, as the caller knows it.
    pub(super) content: Option<ContentDigest>,
    /// The earlier commit that this one makes live again; `None` if it continues the newest one.
    rollback_to: Option<RemoteCommit>,
}

/// A commit that is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectCommitInfo {
    /// The sequence number of the commit's newest meta file.
    pub commit: SequenceNumber,
    /// How many commits of other writers came between its start and its end: so often it was made
    /// again.
    pub rebased: u32,
    /// The certificates of families, ascending.
    pub certificates: Vec<FamilyCertificate>,
}

impl<'p> ObjectCommit<'p> {
    pub(super) fn new(publisher: &'p mut ObjectPublisher, family: u32) -> Self {
        Self {
            publisher,
            change: FamilyChange::new(family),
            tables: Vec::new(),
            numbers: BTreeSet::new(),
            blobs: Vec::new(),
            made_blobs: BTreeMap::new(),
            #[cfg(feature = "read")]
            adopted: Default::default(),
            tasks: AddedTasks::default(),
            content: None,
            rollback_to: None,
        }
    }

    /// The commit that this one continues; `None` if it is the first. It is another one after a
    /// commit of another writer, on top of which this one is made again.
    #[must_use]
    pub const fn base(&self) -> Option<SequenceNumber> {
        self.publisher.current()
    }

    /// Sets the kind of the commit, instead of the one that follows from its content.
    pub const fn set_kind(&mut self, kind: CommitKind) {
        self.change.set_kind(kind);
    }

    /// Makes the commit continue an earlier commit instead of the newest.
    pub(super) fn roll_back_to(&mut self, earlier: RemoteCommit) {
        self.rollback_to = Some(earlier);
    }

    /// The kind of the commit, set or by default: [`CommitKind::Load`] after
    /// [`ObjectCommit::replace_all`], else [`CommitKind::Append`].
    #[must_use]
    pub const fn kind(&self) -> CommitKind {
        self.change.kind()
    }

    /// Starts a table, whose object is uploaded while it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`] if numbers cannot be claimed.
    pub async fn create_table(
        &self,
        options: WriterOptions,
    ) -> Result<ObjectTableWriter, StoreError> {
        self.publisher.create_table(options).await
    }

    /// Adds a finished table. If tables of a commit share a key, the table added last wins.
    pub fn add_table(&mut self, table: FinishedObjectTable) {
        let FinishedObjectTable { sequence, meta, blobs } = table;
        self.add_described(sequence, meta, blobs);
    }

    pub(super) fn add_described(
        &mut self,
        sequence: SequenceNumber,
        meta: SstMeta,
        blobs: Vec<BlobNumber>,
    ) {
        self.numbers.insert(sequence);
        self.tables.push((sequence, meta));
        self.blobs.push(blobs);
    }

    /// The bucket, as the place to which a load or a merge streams its tables and blobs
    /// ([`ObjectCommit::add_written`]).
    #[must_use]
    pub fn output(&self) -> ObjectOutput {
        let ObjectPublisher { store, numbers, places, options, .. } = &*self.publisher;
        ObjectOutput::new(store, numbers, places, options)
    }

    /// Runs a function that writes to [`ObjectCommit::output`], and waits for its uploads: the task
    /// of the caller stops meanwhile, and the threads of the runtime go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Runtime`] on a runtime of one thread, which could not go on.
    pub fn write_blocking<T>(
        &self,
        write: impl FnOnce(&ObjectOutput) -> T,
    ) -> Result<T, StoreError> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(StoreError::Runtime { source: std::io::ErrorKind::WouldBlock.into() });
        }
        let output = self.output();
        Ok(tokio::task::block_in_place(|| write(&output)))
    }

    /// Adds tables and blobs that were written to [`ObjectCommit::output`]. If tables of a commit
    /// share a key, the table added last wins.
    pub fn add_written(
        &mut self,
        tables: impl IntoIterator<Item = TaskTable>,
        blobs: impl IntoIterator<Item = BlobRecord>,
    ) {
        self.made_blobs.extend(blobs.into_iter().map(|blob| (blob.number, blob)));
        for TaskTable { sequence, meta, blobs, .. } in tables {
            self.add_described(sequence, meta, blobs);
        }
    }

    /// Uploads a blob, to which a table of this commit can refer. The value and its stored form are
    /// in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; [`StoreError::Request`].
    pub async fn create_blob(&mut self, value: impl AsRef<[u8]>) -> Result<BlobNumber, StoreError> {
        let record = self.publisher.create_blob(value.as_ref()).await?;
        self.made_blobs.insert(record.number, record);
        Ok(record.number)
    }

    /// Makes a table of the newest commit obsolete: readers of this commit do not see it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Directory`] with [`PublishError::NotLive`] if that commit has no such table of
    /// this family.
    pub fn obsolete(&mut self, table: SequenceNumber) -> Result<(), StoreError> {
        Ok(self.change.make_obsolete(table, self.publisher.live_tables())?)
    }

    /// Makes all tables of the newest commit of this family obsolete: the tables of this commit
    /// replace them.
    pub fn replace_all(&mut self) {
        self.change.replace_all(self.publisher.live_tables());
    }

    /// Makes the commit visible in one step.
    ///
    /// If another writer has published meanwhile, a commit that only adds tables is made again on
    /// top of the other's commit, and so is a merge whose inputs are all still live
    /// ([`ObjectPublisherOptions::rebase`](crate::ObjectPublisherOptions::rebase)): its tables keep
    /// their names, and only meta files are written again. So it is published exactly once if this
    /// returns a commit, and not at all if it returns [`StoreError::Changed`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] if another writer has published, and this commit cannot be made
    /// again on top of that; [`StoreError::Unknown`] if an answer was lost, and other writers have
    /// published since, so that nothing tells whether this commit was live; [`StoreError::Claimed`]
    /// if the claim was lost because this writer took longer than the grace period of another;
    /// [`StoreError::Request`]: the commit is then visible or not.
    pub async fn publish(self, monitor: &Monitor) -> Result<ObjectCommitInfo, StoreError> {
        let mut rebased = 0;
        loop {
            monitor.check()?;
            let certificates = match self.certificates(rebased, monitor).await {
                // The next attempt is on top of the commit that was faster.
                Err(StoreError::Changed { .. }) if rebased < MAX_OVERTAKEN => None,
                certificates => Some(certificates?),
            };
            let Some(certificates) = certificates else {
                self.publisher.refresh().await?;
                self.check_rebase(rebased)?;
                rebased += 1;
                continue;
            };
            let metas = self.write_meta_files(&certificates).await?;
            let sequence = metas.newest;
            let done = ObjectCommitInfo { commit: sequence, rebased, certificates };
            self.publisher.numbers.check().await?;
            let parallel = self.publisher.options.parallel.max(1);
            self.tasks.check(&self.publisher.store, parallel).await?;
            monitor.check()?;
            let is_doubtful = match self.publisher.replace_current(sequence).await? {
                Swap::Done => {
                    self.publisher.refresh().await?;
                    self.tasks.release(&self.publisher.store, parallel).await;
                    return Ok(done);
                }
                Swap::Lost { is_doubtful } => is_doubtful,
            };
            self.publisher.refresh().await?;
            if is_doubtful {
                let object = self.publisher.store.object("CURRENT");
                let newest = self.publisher.base.commit.as_ref();
                return match newest.is_some_and(|newest| self.was_live(newest, sequence)) {
                    true => Ok(done),
                    false => Err(StoreError::Unknown { object }),
                };
            }
            metas.remove(&self.publisher.store).await;
            self.check_rebase(rebased)?;
            rebased += 1;
        }
    }

    /// Fails if the commit, which another one has overtaken, cannot be made again on top of it.
    fn check_rebase(&self, rebased: u32) -> Result<(), StoreError> {
        if !self.can_be_rebased() || rebased == MAX_OVERTAKEN {
            let object = self.publisher.store.object("CURRENT");
            return Err(StoreError::Changed { object });
        }
        Ok(())
    }

    /// The certificates of the commit, ascending by family: those of families that it does not
    /// change and, if the options say so, that of its own, for which it is read back.
    async fn certificates(
        &self,
        rebased: u32,
        monitor: &Monitor,
    ) -> Result<Vec<FamilyCertificate>, StoreError> {
        let newest = self.publisher.base.commit.as_ref();
        let base = self.rollback_to.as_ref().or(newest);
        let mut certificates = base.map_or_else(Vec::new, |base| base.certificates().to_vec());
        if self.tables.is_empty() && self.change.obsolete().is_empty() {
            return Ok(certificates);
        }
        let family = self.change.family();
        certificates.retain(|known| known.family != family);
        // What the caller knows is that of the commit on top of the one that it has seen.
        let known = self.content.filter(|_| rebased == 0);
        let content = match known {
            None if self.is_certified(rebased) => Some(self.read_back(monitor).await?),
            known => known,
        };
        if let Some(content) = content {
            certificates.push(FamilyCertificate { family, content });
            certificates.sort_by_key(|known| known.family);
        }
        Ok(certificates)
    }

    /// Whether a newer commit says anything about this one, which it does only if it came after it.
    fn was_live(&self, newest: &RemoteCommit, sequence: SequenceNumber) -> bool {
        newest.mentions(sequence, self.tables.iter().map(|(table, _)| *table))
    }

    /// Whether the commit means the same on top of the commit of another writer.
    fn can_be_rebased(&self) -> bool {
        self.publisher.options.rebase
            && match self.kind() {
                CommitKind::Append => self.change.obsolete().is_empty(),
                CommitKind::Merge => self.change.applies_to(self.publisher.live_tables()),
                // A load and a rollback mean another content on top of another commit, and nothing
                // is known of kinds that later builds define.
                _ => false,
            }
    }

    /// Writes the meta files of the commit, on top of the base.
    async fn write_meta_files(
        &self,
        certificates: &[FamilyCertificate],
    ) -> Result<WrittenMetas, StoreError> {
        let publisher = &*self.publisher;
        let blobs = self.blob_records()?;
        let commit = NewCommit {
            family: self.change.family(),
            kind: self.kind(),
            tables: &self.tables,
            blobs: &blobs,
            obsolete: self.change.obsolete(),
        };
        let earlier = self.rollback_to.as_ref().map(RemoteCommit::base);
        let newest = &publisher.base.state;
        let base = earlier.as_ref().unwrap_or(newest);
        let limits = &publisher.options.meta_limits;
        let mut metas = newest.next_on(base, &commit, certificates, limits)?;
        let mut older = Vec::with_capacity(metas.redescribed().len());
        for sequence in metas.redescribed() {
            older.push(self.read_meta(sequence).await?);
        }
        // Above the commit that is replaced and the files of tasks, and in the order of their
        // numbers, which start at 1: before the first commit the last one is 0.
        let mut above = publisher.current().unwrap_or_default().max(self.tasks.tables().highest());
        let mut numbers = Vec::with_capacity(metas.part_count());
        for _ in 0..metas.part_count() {
            above = publisher.numbers.next(above).await?;
            numbers.push(above);
        }
        let newest = publisher.numbers.next(above).await?;
        let name = |sequence| FileName { sequence, kind: FileKind::Meta };
        for (index, number) in numbers.iter().copied().enumerate() {
            let bytes = metas.part(index, number, newest)?;
            publisher.put(name(number), bytes).await?;
        }
        let bytes = metas.newest(newest, &older)?;
        publisher.put(name(newest), bytes).await?;
        Ok(WrittenMetas { parts: numbers, newest })
    }

    /// All bytes of a meta file of the base.
    async fn read_meta(&self, sequence: SequenceNumber) -> Result<Vec<u8>, StoreError> {
        let name = FileName { sequence, kind: FileKind::Meta }.to_string();
        let store = &self.publisher.store;
        let base = self.publisher.base.commit.as_ref();
        let len = base.and_then(|base| base.meta_len(sequence));
        let len = len
            .ok_or_else(|| StoreError::internal("a meta file of the base is one of its commit"))?;
        match store.read(&name, len).await? {
            Some(object) => Ok(object.bytes.to_vec()),
            None => Err(StoreError::Missing { object: store.object(&name) }),
        }
    }

    /// The records of the blobs of each table.
    pub(super) fn blob_records(&self) -> Result<Vec<Vec<BlobRecord>>, StoreError> {
        let base = self.publisher.base.commit.as_ref();
        let earlier: BTreeMap<_, _> = base
            .map_or_else(Vec::new, RemoteCommit::blobs)
            .into_iter()
            .map(|blob| (blob.number, blob))
            .collect();
        let record = |table: SequenceNumber, blob: BlobNumber| {
            let found = self.made_blobs.get(&blob).or_else(|| earlier.get(&blob)).copied();
            found.ok_or(PublishError::UnknownBlob { table, blob })
        };
        let of_table = |((table, _), blobs): (&(SequenceNumber, SstMeta), &Vec<BlobNumber>)| {
            blobs.iter().map(|blob| record(*table, *blob)).collect::<Result<Vec<_>, _>>()
        };
        if self.tables.len() != self.blobs.len() {
            return Err(StoreError::internal("each table of a commit has its list of blobs"));
        }
        let records = self.tables.iter().zip(&self.blobs).map(of_table);
        Ok(records.collect::<Result<_, _>>()?)
    }
}

/// The meta files of an attempt to publish.
#[derive(Debug)]
struct WrittenMetas {
    parts: Vec<SequenceNumber>,
    newest: SequenceNumber,
}

impl WrittenMetas {
    /// Removes the meta files of a commit that has lost, and was never live: nothing should take
    /// them for an earlier generation. Those that stay are garbage.
    async fn remove(self, store: &Store) {
        let Self { parts, newest } = self;
        for sequence in std::iter::once(newest).chain(parts) {
            let name = FileName { sequence, kind: FileKind::Meta };
            // The conflict is what the caller is told of.
            _ = store.remove(&name.to_string()).await;
        }
    }
}

#[cfg(not(feature = "read"))]
impl ObjectCommit<'_> {
    /// Without the reader no commit can be read back.
    const fn is_certified(&self, _: u32) -> bool {
        false
    }

    async fn read_back(
        &self,
        _: &Monitor,
    ) -> Result<sst_format::content_digest::ContentDigest, StoreError> {
        Err(StoreError::internal("only builds with the reader certify"))
    }
}
