//! Gathers fragments into a commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::FilterPolicy;
use sst_format::{SequenceNumber, SstMeta};
use sst_reader::{Catalog, Corruption, FileLabel, ReadError};
use sst_writer::publish::{Commit, FragmentOverlap};

use super::fragment::Fragment;
use crate::certify::read_back::ReadBack;
use crate::{MergeError, Monitor};

/// Sizes of a fragment that was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FragmentInfo {
    /// Tables.
    pub tables: u64,
    /// Their entries, tombstones and entries hidden by newer ones included.
    pub entries: u64,
    /// Bytes of tables and blob files.
    pub bytes: u64,
    /// Blob files.
    pub blobs: u64,
    /// Tables that were written anew, since their blobs have other numbers here. The others are
    /// copies.
    pub rewritten: u64,
    /// Whether the fragment was certified, so that its content was compared too.
    pub is_certified: bool,
}

/// Gathers fragments into a commit: directories that other processes or machines have written, each
/// with its own [`Publisher`](sst_writer::Publisher) or [`BulkLoader`](sst_writer::BulkLoader).
///
/// Files are copied and get numbers of the commit's directory. Every byte of every copy is then
/// read from the device and verified, against checksums, description and order; if the fragment is
/// certified, the content is compared with its certificate too. Only tables of the commit's family
/// are taken. In the commit they have the order in which they were added, those of one fragment the
/// oldest first.
///
/// # Examples
///
/// ```
/// use sst_merge::{FragmentOverlap, Gatherer, Monitor};
/// use sst_writer::{Publisher, PublisherOptions, WriterOptions};
///
/// # let parent = tempfile::tempdir()?;
/// # let path = |name: &str| parent.path().join(name);
/// let monitor = Monitor::default();
/// // On two machines:
/// for (part, key) in [("part-1", "apple"), ("part-2", "pear")] {
///     let mut publisher = Publisher::open(path(part), PublisherOptions::default())?;
///     let mut commit = publisher.begin();
///     let mut table = commit.create_table(WriterOptions::default())?;
///     table.add((key, "fruit"))?;
///     commit.add_table(table.finish()?)?;
///     commit.publish(&monitor)?;
/// }
/// // On one of them, once the directories have come there:
/// let mut publisher = Publisher::open(path("all"), PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// let mut gatherer = Gatherer::new(&mut commit, FragmentOverlap::Refuse);
/// for part in ["part-1", "part-2"] {
///     gatherer.add(path(part), &monitor)?;
/// }
/// commit.replace_all();
/// commit.publish(&monitor)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gatherer<'c, 'p> {
    commit: &'c mut Commit<'p>,
    overlap: FragmentOverlap,
    filter: Option<Arc<dyn FilterPolicy>>,
    added: Vec<Added>,
}

/// A fragment that was added.
#[derive(Debug)]
struct Added {
    path: PathBuf,
    tables: Vec<SstMeta>,
}

impl<'c, 'p> Gatherer<'c, 'p> {
    /// Gathers into `commit`.
    pub const fn new(commit: &'c mut Commit<'p>, overlap: FragmentOverlap) -> Self {
        Self { commit, overlap, filter: None, added: Vec::new() }
    }

    /// Gives a filter to tables that come without one, for which their keys are read once more.
    /// Without this they get none.
    #[must_use]
    pub fn filter(mut self, policy: impl FilterPolicy + 'static) -> Self {
        self.filter = Some(Arc::new(policy));
        self
    }

    /// Adds the live tables of a fragment: a directory, or the path of a meta file in it, for a
    /// commit that is not its current one.
    ///
    /// O(bytes). Memory: 2 MiB, and with blobs in a certified fragment the longest of them.
    ///
    /// # Errors
    ///
    /// [`MergeError::NotAFragment`] if there is no commit, or none of the family though of others;
    /// [`MergeError::FragmentTwice`], [`MergeError::FragmentsOverlap`]; [`MergeError::Read`] or
    /// [`MergeError::Publish`] if anything is damaged or missing; [`MergeError::is_cancelled`].
    /// Drop the commit then.
    pub fn add(
        &mut self,
        fragment: impl AsRef<Path>,
        monitor: &Monitor,
    ) -> Result<FragmentInfo, MergeError> {
        let path = fragment.as_ref();
        let mut fragment = Fragment::open(path, self.commit.family())?;
        let tables = fragment.descriptions()?;
        self.check(path, &tables)?;
        let before = self.commit.tables().len();
        let mut info = FragmentInfo::default();
        for meta in &tables {
            info.rewritten += u64::from(fragment.copy_next_table(
                self.commit,
                self.filter.as_deref(),
                monitor,
            )?);
            info.tables += 1;
            let protection = meta.protection.as_ref();
            let protection = protection.ok_or_else(|| {
                MergeError::internal("the tables of a protected catalog are protected")
            })?;
            info.entries += protection.entry_count;
        }
        let taken = self.commit.tables().get(before..);
        let taken = taken.ok_or_else(|| MergeError::internal("tables stay in a commit"))?.to_vec();
        info.bytes = taken.iter().map(|(_, meta)| meta.file_size).sum();
        for record in fragment.copied_blobs(self.commit) {
            info.blobs += 1;
            info.bytes += record?.file_size;
        }
        info.is_certified = self.verify(&fragment, &taken, monitor).map_err(|error| {
            // A copy of a damaged table is damaged. Then the original is the file to name.
            let is_cancelled = error.is_cancelled();
            if is_cancelled {
                error
            } else {
                fragment.damage(self.commit, monitor).unwrap_or(error)
            }
        })?;
        self.added.push(Added { path: path.to_owned(), tables });
        Ok(info)
    }

    /// Compares a fragment with those that were added before.
    fn check(&self, path: &Path, tables: &[SstMeta]) -> Result<(), MergeError> {
        for known in &self.added {
            let pairs =
                || tables.iter().flat_map(|new| known.tables.iter().map(move |old| (new, old)));
            if pairs().any(|(new, old)| is_same_table(new, old)) {
                return Err(MergeError::FragmentTwice { path: path.to_owned() });
            }
            let overlaps = |(new, old): (&SstMeta, &SstMeta)| {
                new.min_hash <= old.max_hash && old.min_hash <= new.max_hash
            };
            if self.overlap == FragmentOverlap::Refuse && pairs().any(overlaps) {
                let (path, other) = (path.to_owned(), known.path.clone());
                return Err(MergeError::FragmentsOverlap { path, other });
            }
        }
        Ok(())
    }

    /// Reads back the tables that were taken. Returns whether their content could be compared.
    fn verify(
        &self,
        fragment: &Fragment,
        taken: &[(SequenceNumber, SstMeta)],
        monitor: &Monitor,
    ) -> Result<bool, MergeError> {
        let family = self.commit.family();
        let blobs: Vec<_> = fragment.copied_blobs(self.commit).collect::<Result<_, _>>()?;
        let catalog =
            Catalog::empty(self.commit.directory()).followed_by(family, taken, &[], &blobs);
        let mut read_back = ReadBack::new(catalog, family, &*self.commit, monitor);
        let Some(expected) = fragment.catalog().certificate(family) else {
            read_back.verify()?;
            return Ok(false);
        };
        let found = read_back.read(0)?.live;
        if found == expected {
            return Ok(true);
        }
        let Catalog { dir, commit, .. } = &**fragment.catalog();
        let meta_file = FileName { sequence: *commit, kind: FileKind::Meta };
        let (expected, found) = (Box::new(expected), Box::new(found));
        Err(MergeError::Read(ReadError::Corrupt {
            file: FileLabel::new(dir.join(meta_file.to_string())),
            block: None,
            cause: Corruption::Certificate { family, expected, found },
        }))
    }
}

/// Whether two descriptions are of the same bytes: all blocks have the same sizes and checksums.
fn is_same_table(a: &SstMeta, b: &SstMeta) -> bool {
    let shape = |meta: &SstMeta| (meta.min_hash, meta.max_hash, meta.file_size, meta.block_count);
    shape(a) == shape(b) && a.protection == b.protection
}
