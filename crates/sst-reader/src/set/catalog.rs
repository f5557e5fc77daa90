//! What a directory holds as of its commit: reads `CURRENT` and the meta files, and checks that they belong together
//! (FORMAT.md sections 1 and 9).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::filter::FilterBytes;
use sst_format::meta_file::MetaFile;
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber, SstMeta, TableProtection};

use crate::{Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};

/// The tables of a directory as of one commit, with everything their meta files say, before any of them is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Catalog {
    /// The directory.
    pub dir: PathBuf,
    /// The commit: the highest committed sequence number.
    pub commit: SequenceNumber,
    /// Whether the commit is one chain of checksums. Directories of the original are not.
    pub is_protected: bool,
    /// The live tables of all families, newest first.
    pub tables: Vec<CatalogTable>,
    /// What the commits know of their blob files; empty without protection.
    pub blobs: BTreeMap<BlobNumber, BlobRecord>,
    /// The live meta files, newest first.
    pub meta_files: Vec<SequenceNumber>,
}

/// A live table of a directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CatalogTable {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The meta file that describes it.
    pub meta_file: SequenceNumber,
    /// The key space it belongs to.
    pub family: u32,
    /// Its description.
    pub meta: SstMeta,
}

impl CatalogTable {
    /// Where its file is in the directory `dir`.
    #[must_use]
    pub fn path(&self, dir: &Path) -> PathBuf {
        path_of(dir, self.sequence, FileKind::Sst)
    }
}

/// Where a numbered file is in the directory `dir`.
pub(crate) fn path_of(dir: &Path, sequence: SequenceNumber, kind: FileKind) -> PathBuf {
    dir.join(FileName { sequence, kind }.to_string())
}

impl Catalog {
    /// Reads `CURRENT` and the live meta files of the directory `dir`. No table is touched.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a file is damaged, missing, or not the one that belongs there, or
    /// the directory is of another revision of the format.
    pub fn read(dir: &Path) -> Result<Self, ReadError> {
        let label = FileLabel::new(&dir.join(CURRENT_FILE_NAME));
        let bytes = fs::read(label.path()).map_err(|e| ReadError::io(&label, "read", e))?;
        let current = Current::parse(&bytes, crc32fast::hash)
            .map_err(|error| ReadError::corrupt(&label, error))?;
        let metas = if current.is_protected {
            read_listed(dir, current.sequence)?
        } else {
            read_present(dir, current.sequence)?
        };
        let mut catalog = Self {
            dir: dir.to_owned(),
            commit: current.sequence,
            is_protected: current.is_protected,
            tables: Vec::new(),
            blobs: BTreeMap::new(),
            meta_files: metas.iter().map(|meta| meta.sequence).collect(),
        };
        let mut hidden = BTreeSet::new();
        for meta in &metas {
            meta.collect(&mut hidden, &mut catalog)?;
        }
        Ok(catalog)
    }

    /// Opens one of its tables.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`]; a file that is not there is [`Corruption::Missing`].
    pub fn open_table(
        &self,
        table: &CatalogTable,
        options: &ReaderOptions,
    ) -> Result<StaticSortedFile, ReadError> {
        match StaticSortedFile::open(&table.path(&self.dir), &table.meta, options) {
            Err(ReadError::Io { file, source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::corrupt(&file, Corruption::Missing))
            }
            file => file,
        }
    }

    /// Families that have tables, ascending.
    #[must_use]
    pub fn families(&self) -> BTreeSet<u32> {
        self.tables.iter().map(|table| table.family).collect()
    }
}

/// The meta files of a protected commit, newest first: exactly those that the newest one lists.
fn read_listed(dir: &Path, newest: SequenceNumber) -> Result<Vec<LoadedMeta>, ReadError> {
    let newest = LoadedMeta::read(dir, newest)?;
    let parsed = newest.parse()?;
    let section = parsed.protection().ok_or_else(|| {
        ReadError::corrupt(&newest.label, Corruption::ProtectionMismatch { meta: newest.sequence })
    })?;
    // Parsing has made sure that they ascend.
    let mut listed: Vec<LiveMeta> = section.live_metas().collect();
    listed.reverse();
    if listed.first().is_none_or(|first| first.sequence != newest.sequence) {
        return Err(ReadError::corrupt(&newest.label, Corruption::NotListed));
    }
    let mut metas = Vec::with_capacity(listed.len());
    for live in listed.into_iter().skip(1) {
        let meta = LoadedMeta::read(dir, live.sequence)?;
        let found = meta.parse()?.protection().map_or(0, |section| section.checksum());
        if found != live.checksum {
            let (by, expected) = (newest.sequence, live.checksum);
            let cause = Corruption::NotTheListedFile { by, expected, found };
            return Err(ReadError::corrupt(&meta.label, cause));
        }
        metas.push(meta);
    }
    metas.insert(0, newest);
    Ok(metas)
}

/// The meta files of an unprotected commit, newest first: those that are there, up to the commit, and that no `.del`
/// file names.
fn read_present(dir: &Path, newest: SequenceNumber) -> Result<Vec<LoadedMeta>, ReadError> {
    let label = FileLabel::new(dir);
    let list_error = |error| ReadError::io(&label, "list", error);
    let mut present = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(list_error)? {
        let name = entry.map_err(list_error)?.file_name();
        let Some(name) = name.to_str().and_then(FileName::parse) else { continue };
        match name.kind {
            _ if name.sequence > newest => {}
            FileKind::Meta => {
                present.insert(name.sequence);
            }
            FileKind::Del => deleted.extend(read_del(dir, name.sequence)?),
            FileKind::Sst | FileKind::Blob => {}
        }
    }
    let mut metas = Vec::new();
    for &sequence in present.iter().rev().filter(|meta| !deleted.contains(meta)) {
        let meta = LoadedMeta::read(dir, sequence)?;
        // Ours wrote this very commit, so `CURRENT` had a checksum that is lost now.
        if sequence == newest && meta.parse()?.protection().is_some() {
            let cause = Corruption::ProtectionMismatch { meta: sequence };
            return Err(ReadError::corrupt(&meta.label, cause));
        }
        metas.push(meta);
    }
    Ok(metas)
}

/// The sequence numbers in a `.del` file.
fn read_del(dir: &Path, sequence: SequenceNumber) -> Result<Vec<SequenceNumber>, ReadError> {
    let label = FileLabel::new(&path_of(dir, sequence, FileKind::Del));
    let bytes = fs::read(label.path()).map_err(|e| ReadError::io(&label, "read", e))?;
    let (words, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        let (expected, found) = (words.len() as u64 * 4, bytes.len() as u64);
        return Err(ReadError::corrupt(&label, Corruption::FileSize { expected, found }));
    }
    Ok(words.iter().map(|word| SequenceNumber(u32::from_be_bytes(*word))).collect())
}

/// A meta file in memory.
struct LoadedMeta {
    sequence: SequenceNumber,
    label: FileLabel,
    bytes: Arc<Vec<u8>>,
}

impl LoadedMeta {
    fn read(dir: &Path, sequence: SequenceNumber) -> Result<Self, ReadError> {
        let label = FileLabel::new(&path_of(dir, sequence, FileKind::Meta));
        match fs::read(label.path()) {
            Ok(bytes) => Ok(Self { sequence, label, bytes: Arc::new(bytes) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::corrupt(&label, Corruption::Missing))
            }
            Err(error) => Err(ReadError::io(&label, "read", error)),
        }
    }

    fn parse(&self) -> Result<MetaFile<'_>, ReadError> {
        MetaFile::parse(&self.bytes, crc32fast::hash)
            .map_err(|error| ReadError::corrupt(&self.label, error))
    }

    /// Adds the live tables and the blobs of this meta file to the catalog. Newer meta files come first, and have put
    /// what they described or made obsolete into `hidden`.
    fn collect(
        &self,
        hidden: &mut BTreeSet<SequenceNumber>,
        catalog: &mut Catalog,
    ) -> Result<(), ReadError> {
        let meta = self.parse()?;
        let mut protected = meta.protection().map(|section| section.tables(meta.block_counts()));
        let mut tables = Vec::new();
        for (record, filter) in meta.tables().zip(meta.filter_ranges()) {
            let protection =
                protected.as_mut().and_then(Iterator::next).map(|table| TableProtection {
                    entry_count: table.entry_count,
                    block_headers: table.block_headers().collect(),
                });
            let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::<Vec<u8>>::clone(&self.bytes);
            let filter = FilterBytes::slice_of(bytes, filter)
                .ok_or_else(|| ReadError::corrupt(&self.label, Corruption::Missing))?;
            tables.push(CatalogTable {
                sequence: record.sequence,
                meta_file: self.sequence,
                family: meta.family(),
                meta: SstMeta {
                    block_count: record.block_count,
                    min_hash: record.min_hash,
                    max_hash: record.max_hash,
                    file_size: record.file_size,
                    flags: record.flags,
                    filter,
                    protection,
                },
            });
        }
        // Within a meta file the oldest table comes first. A table counts once, as its newest description has it.
        let newest_first = tables.into_iter().rev();
        catalog.tables.extend(newest_first.filter(|table| hidden.insert(table.sequence)));
        if let Some(section) = meta.protection() {
            catalog.blobs.extend(section.blobs().map(|blob| (blob.number, blob)));
        }
        hidden.extend(meta.obsolete());
        Ok(())
    }
}
