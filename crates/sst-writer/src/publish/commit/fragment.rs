//! Fragments: tables that were written elsewhere become part of a commit (FORMAT.md section 13).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use super::Commit;
use crate::file::atomic_file::directory_of;
use crate::publish::directory_state::{DirectoryState, meta_path};
use crate::publish::read_back::content_reader::ContentReader;
use crate::publish::read_back::live_entries::WalkedTable;
use crate::publish::read_back::stored_entries::{StoredEntries, StoredValue};
use crate::publish::read_back::table_defect::TableDefect;
use crate::{
    AtomicFile, EntryValue, FileError, FileOperation, Finished, HashedEntry, PublishError,
    TableWriter, WriterOptions,
};

/// How many bytes of a table are in memory while it is copied.
const BUFFER_LEN: usize = 2 << 20;

/// What becomes of fragments of one commit whose ranges of hashes overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentOverlap {
    /// They are refused: the writers were to share the hashes out among them, so that no key can be in two of them.
    #[default]
    Refuse,
    /// Where two have a key in common, the one added later counts.
    LaterWins,
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FragmentInfo {
    /// Tables.
    pub tables: u64,
    /// Their entries, tombstones and what newer ones hide included.
    pub entries: u64,
    /// Bytes of tables and blob files.
    pub bytes: u64,
    /// Blob files.
    pub blobs: u64,
    /// Tables that were written anew since blobs that they refer to have other numbers here. The others are copies.
    pub rewritten: u64,
    /// Whether the fragment was certified, so that its content was compared too.
    pub is_certified: bool,
}

/// A fragment that was added to a commit.
#[derive(Debug)]
pub(super) struct AddedFragment {
    path: PathBuf,
    tables: Vec<SstMeta>,
}

/// A fragment that is being added.
struct Fragment {
    directory: PathBuf,
    state: DirectoryState,
    /// The oldest first.
    tables: Vec<(SequenceNumber, SstMeta)>,
    blobs: BTreeMap<BlobNumber, BlobRecord>,
    /// Blobs that were copied: their numbers there and here.
    copied: BTreeMap<BlobNumber, BlobNumber>,
}

impl Commit<'_> {
    /// Takes over the live tables of a directory that was written elsewhere, by another process or machine, with its own
    /// [`Publisher`](crate::Publisher) or [`BulkLoader`](crate::BulkLoader): its newest meta file describes them, all of them
    /// under checksums. `fragment` is that directory, or the path of a meta file in it, for a commit that is not the newest.
    ///
    /// Files are copied and get numbers of this directory. Every byte of every copy is then read back and verified, against
    /// checksums, description and order; where the fragment is certified, what it holds is compared with its certificate too.
    /// Only tables of the commit's family are taken. In the commit they are in the order in which they were added, the tables of
    /// a fragment oldest first.
    ///
    /// O(bytes). Memory: a MiB, and with blobs in a certified fragment the longest of them.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotAFragment`] if there is no commit, or none of the family though of others;
    /// [`PublishError::FragmentTwice`], [`PublishError::FragmentsOverlap`]; [`PublishError::Format`],
    /// [`PublishError::BrokenChain`], [`PublishError::BadTable`] or [`PublishError::BadBlob`] if anything is damaged, and
    /// [`PublishError::File`] if it is missing; [`PublishError::Cancelled`]. Drop the commit then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sst_writer::{Publisher, PublisherOptions, WriterOptions};
    /// use sst_writer::publish::FragmentOverlap;
    ///
    /// # let parent = tempfile::tempdir()?;
    /// # let path = |name: &str| parent.path().join(name);
    /// // On two machines:
    /// for (part, key) in [("part-1", "apple"), ("part-2", "pear")] {
    ///     let mut publisher = Publisher::open(path(part), PublisherOptions::default())?;
    ///     let mut commit = publisher.begin();
    ///     let mut table = commit.create_table(WriterOptions::default())?;
    ///     table.add((key, "fruit"))?;
    ///     commit.add_table(table.finish()?)?;
    ///     commit.publish()?;
    /// }
    /// // On one of them, once the directories have come there:
    /// let mut publisher = Publisher::open(path("all"), PublisherOptions::default())?;
    /// let mut commit = publisher.begin();
    /// for part in ["part-1", "part-2"] {
    ///     commit.add_fragment(path(part), FragmentOverlap::Refuse)?;
    /// }
    /// commit.replace_all();
    /// commit.publish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_fragment(
        &mut self,
        fragment: impl AsRef<Path>,
        overlap: FragmentOverlap,
    ) -> Result<FragmentInfo, PublishError> {
        self.publisher.check_usable()?;
        let path = fragment.as_ref();
        let mut fragment = self.open_fragment(path)?;
        let tables: Vec<SstMeta> = fragment.tables.iter().map(|(_, meta)| meta.clone()).collect();
        self.check_fragment(path, &tables, overlap)?;
        let mut info = FragmentInfo::default();
        let mut walked = Vec::new();
        let mut sources = Vec::new();
        for (sequence, meta) in std::mem::take(&mut fragment.tables) {
            let name = FileName { sequence, kind: FileKind::Sst }.to_string();
            let source = WalkedTable { path: fragment.directory.join(name), meta };
            let taken = match self.refers_to_blobs(&fragment, &source)? {
                true => {
                    info.rewritten += 1;
                    self.rewrite(&mut fragment, &source)?
                }
                false => self.copy_table(&source)?,
            };
            info.tables += 1;
            info.bytes += taken.meta.file_size;
            info.entries += taken.meta.protection.as_ref().map_or(0, |known| known.entry_count);
            walked.push(taken);
            sources.push(source);
        }
        walked.reverse();
        info.is_certified = self
            .verify_fragment(&fragment, &walked)
            .map_err(|error| self.at_source(&sources, error))?;
        info.blobs = fragment.copied.len() as u64;
        info.bytes += fragment
            .copied
            .keys()
            .filter_map(|blob| fragment.blobs.get(blob))
            .map(|blob| blob.file_size)
            .sum::<u64>();
        self.fragments.push(AddedFragment { path: path.to_owned(), tables });
        Ok(info)
    }

    /// Reads the meta files of a fragment.
    fn open_fragment(&self, path: &Path) -> Result<Fragment, PublishError> {
        let file_system = &*self.context.file_system;
        let name = path.file_name().and_then(|name| FileName::parse(name.to_str()?));
        let (directory, state) = match name {
            Some(FileName { sequence, kind: FileKind::Meta }) => {
                let directory = directory_of(path);
                (directory, DirectoryState::load_commit(file_system, directory, sequence)?)
            }
            _ => (path, DirectoryState::load(file_system, path)?),
        };
        let tables = state.describe(file_system, directory, self.family)?;
        let has_others = tables.is_empty() && state.live_tables().next().is_some();
        if state.current.is_none() || has_others {
            return Err(PublishError::NotAFragment { path: path.to_owned(), family: self.family });
        }
        let blobs = state.blobs().map(|blob| (blob.number, *blob)).collect();
        let directory = directory.to_owned();
        Ok(Fragment { directory, state, tables, blobs, copied: BTreeMap::new() })
    }

    /// Compares a fragment with those that the commit has already.
    fn check_fragment(
        &self,
        path: &Path,
        tables: &[SstMeta],
        overlap: FragmentOverlap,
    ) -> Result<(), PublishError> {
        for known in &self.fragments {
            let pairs =
                || tables.iter().flat_map(|new| known.tables.iter().map(move |old| (new, old)));
            if pairs().any(|(new, old)| is_same_table(new, old)) {
                return Err(PublishError::FragmentTwice { path: path.to_owned() });
            }
            let overlaps = |(new, old): (&SstMeta, &SstMeta)| {
                new.min_hash <= old.max_hash && old.min_hash <= new.max_hash
            };
            if overlap == FragmentOverlap::Refuse && pairs().any(overlaps) {
                let (path, other) = (path.to_owned(), known.path.clone());
                return Err(PublishError::FragmentsOverlap { path, other });
            }
        }
        Ok(())
    }

    /// Whether a table refers to blobs, whose numbers are part of it.
    fn refers_to_blobs(
        &self,
        fragment: &Fragment,
        table: &WalkedTable,
    ) -> Result<bool, PublishError> {
        if fragment.blobs.is_empty() {
            return Ok(false);
        }
        let mut entries =
            StoredEntries::open(&*self.context.file_system, &table.path, &table.meta)?;
        while entries.advance()? {
            self.context.cancel.check()?;
            if entries.blob()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Copies a table as it is, under a number of this directory.
    fn copy_table(&mut self, source: &WalkedTable) -> Result<WalkedTable, PublishError> {
        let (sequence, path) = self.context.allocate(FileKind::Sst)?;
        let read_error = |error| FileError::at(&source.path, FileOperation::Read)(error);
        let from = self.context.file_system.open(&source.path).map_err(read_error)?;
        let (expected, found) = (source.meta.file_size, from.file_size().map_err(read_error)?);
        if expected != found {
            let reason = TableDefect::FileSize { expected, found };
            return Err(PublishError::BadTable { path: source.path.clone(), block: None, reason });
        }
        let mut file = AtomicFile::create_in(Arc::clone(&self.context.file_system), &path)?;
        let mut buffer = vec![0; BUFFER_LEN];
        let mut at = 0;
        while at < expected {
            self.context.cancel.check()?;
            let len = usize::try_from(expected - at).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            let piece = buffer.get_mut(..len).unwrap_or_default();
            from.read_exact_at(piece, at).map_err(read_error)?;
            file.write(piece)?;
            at += len as u64;
        }
        #[cfg(sst_planted)]
        if sst_format::planted("gathered-copies-stay") {
            // What a failed commit removes.
            self.context.names.lock().unwrap_or_else(PoisonError::into_inner).pop();
        }
        #[cfg(sst_planted)]
        match sst_format::planted("gathered-sync-skipped") {
            true => file.persist_unsynced()?,
            false => file.persist()?,
        }
        #[cfg(not(sst_planted))]
        file.persist()?;
        let meta = source.meta.clone();
        let table = Finished { meta: meta.clone(), blobs: Vec::new(), digest: None, output: () };
        self.push_table(sequence, table);
        Ok(WalkedTable { path, meta })
    }

    /// Writes a table anew, with copies of the blobs that it refers to.
    fn rewrite(
        &mut self,
        fragment: &mut Fragment,
        source: &WalkedTable,
    ) -> Result<WalkedTable, PublishError> {
        let options = WriterOptions::default().multi_value(true).flags(source.meta.flags);
        let mut table = self.create_table(options)?;
        let mut entries =
            StoredEntries::open(&*self.context.file_system, &source.path, &source.meta)?;
        while entries.advance()? {
            self.context.cancel.check()?;
            if let Some(blob) = entries.blob()? {
                let copy = self.copy_fragment_blob(fragment, &source.path, blob)?;
                let (hash, key) = (entries.hash(), entries.key()?);
                table.add(HashedEntry { hash, key, value: EntryValue::Large { blob: copy } })?;
            } else {
                take(&mut entries, &mut table)?;
            }
        }
        let mut table = table.finish()?;
        // It is over the same hashes.
        table.finished.meta.filter = source.meta.filter.clone();
        let name = FileName { sequence: table.sequence(), kind: FileKind::Sst }.to_string();
        let taken =
            WalkedTable { path: self.context.directory.join(name), meta: table.meta().clone() };
        self.add_table(table)?;
        Ok(taken)
    }

    fn copy_fragment_blob(
        &self,
        fragment: &mut Fragment,
        table: &Path,
        blob: BlobNumber,
    ) -> Result<BlobNumber, PublishError> {
        if let Some(copy) = fragment.copied.get(&blob) {
            return Ok(*copy);
        }
        let listed = fragment.blobs.get(&blob).ok_or_else(|| PublishError::BadTable {
            path: table.to_owned(),
            block: None,
            reason: TableDefect::UnlistedBlob { blob },
        })?;
        let name = FileName { sequence: SequenceNumber(blob.0), kind: FileKind::Blob };
        let copy = self.copy_blob(&fragment.directory.join(name.to_string()), Some(listed))?;
        fragment.copied.insert(blob, copy);
        Ok(copy)
    }

    /// The error of a copy that cannot be read back: that of the table it was copied from, if that is damaged too.
    fn at_source(&self, sources: &[WalkedTable], error: PublishError) -> PublishError {
        if matches!(error, PublishError::Cancelled) {
            return error;
        }
        sources.iter().find_map(|source| self.read_all(source).err()).unwrap_or(error)
    }

    /// Reads back what was taken over, the newest table first. Returns whether its content could be compared.
    fn verify_fragment(
        &self,
        fragment: &Fragment,
        taken: &[WalkedTable],
    ) -> Result<bool, PublishError> {
        let (file_system, directory) = (&*self.context.file_system, &*self.context.directory);
        let certificates = fragment.state.certificates();
        let Some(certificate) = certificates.iter().find(|known| known.family == self.family)
        else {
            taken.iter().try_for_each(|table| self.read_all(table))?;
            return Ok(false);
        };
        let own = self.context.blobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let blobs = own.iter().map(|blob| (blob.number, *blob)).collect();
        let cancel = &self.context.cancel;
        let reader = ContentReader { file_system, directory, blobs: &blobs, cancel };
        let found = reader.read(taken, 0)?.live;
        if found != certificate.content {
            let sequence = fragment.state.current.unwrap_or_default();
            let (expected, found) = (Box::new(certificate.content), Box::new(found));
            return Err(PublishError::BadTable {
                path: meta_path(&fragment.directory, sequence),
                block: None,
                reason: TableDefect::Content { expected, found },
            });
        }
        Ok(true)
    }

    /// Reads every byte of a table.
    fn read_all(&self, table: &WalkedTable) -> Result<(), PublishError> {
        let file_system = &*self.context.file_system;
        let mut entries = StoredEntries::open(file_system, &table.path, &table.meta)?;
        while entries.advance()? {
            self.context.cancel.check()?;
        }
        Ok(())
    }
}

/// Adds the current entry, which does not refer to a blob, to a table.
fn take(entries: &mut StoredEntries, table: &mut TableWriter) -> Result<(), PublishError> {
    let (hash, key) = (entries.hash(), entries.key()?.to_vec());
    if let Some((header, block)) = entries.stored_medium()? {
        let value = EntryValue::of_stored(header, block);
        return Ok(table.add(HashedEntry { hash, key: &key, value })?);
    }
    let value = match entries.entry()?.1 {
        // Readers accept longer inline values than writers may write.
        StoredValue::Inline(value) => {
            EntryValue::for_bytes(value).unwrap_or(EntryValue::Small(value))
        }
        StoredValue::Small(value) => EntryValue::Small(value),
        StoredValue::Medium(value) => EntryValue::Medium(value),
        StoredValue::Blob(blob) => EntryValue::Large { blob },
        StoredValue::Deleted => EntryValue::Deleted,
    };
    Ok(table.add(HashedEntry { hash, key: &key, value })?)
}

/// Whether two descriptions are of the same bytes: all blocks have the same sizes and checksums.
fn is_same_table(a: &SstMeta, b: &SstMeta) -> bool {
    let shape = |meta: &SstMeta| (meta.min_hash, meta.max_hash, meta.file_size, meta.block_count);
    shape(a) == shape(b) && a.protection == b.protection
}
