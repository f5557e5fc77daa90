//! The keys that are lost with each damaged part, for the report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sst_format::{BlobNumber, BlockIndex};
use sst_reader::{Affected, Catalog, ReadError, StaticSortedFile, VerifyReport};

use super::is_damage;
use crate::notation::{Bytes, KEY, serialize_bytes};
use crate::output::counted;
use crate::store::reader_options;

/// A damaged part of a directory: one block of a table, or a whole file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DamagedPlace {
    Block(PathBuf, BlockIndex),
    File(PathBuf),
}

impl DamagedPlace {
    /// The damaged part that an error names.
    pub(super) fn of(error: &ReadError) -> Self {
        let path = error.file().path().to_owned();
        match error {
            ReadError::Corrupt { block: Some(block), .. } => Self::Block(path, *block),
            _ => Self::File(path),
        }
    }
}

/// The keys that are lost with one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Keys whose values are lost, at most as many as the limit.
    keys: Vec<Vec<u8>>,
    /// Number of further keys beyond the limit.
    more: u64,
    /// Ranges of hashes, first and last, of which all keys are lost.
    hashes: Vec<(u64, u64)>,
}

impl Lost {
    fn key(&mut self, key: &[u8], limit: usize) {
        match self.keys.len() < limit {
            true => self.keys.push(key.to_vec()),
            false => self.more += 1,
        }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.more == 0 && self.hashes.is_empty()
    }

    /// Lines of text for the report.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let hashes = self.hashes.iter().map(|(low, high)| {
            format!("  lost: all keys with hashes from {low:016x} to {high:016x}")
        });
        let count = self.keys.len() as u64 + self.more;
        let all = (count > 0).then(|| format!("  lost: the values of {}", counted(count, "key")));
        let keys = self.keys.iter().map(|bytes| format!("    {}", Bytes::escaped(bytes)));
        let more =
            (self.more > 0).then(|| format!("    … and {} more: --all lists them", self.more));
        hashes.chain(all).chain(keys).chain(more)
    }
}

impl Serialize for Lost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("keys", &Keys(&self.keys))?;
        map.serialize_entry("more_keys", &self.more)?;
        let hex = |hash: &u64| format!("{hash:016x}");
        let ranges = self.hashes.iter().map(|(low, high)| [hex(low), hex(high)]);
        map.serialize_entry("hash_ranges", &ranges.collect::<Vec<_>>())?;
        map.end()
    }
}

/// Keys as a list of objects, in the form in which `sst scan --json` prints keys.
struct Keys<'a>(&'a [Vec<u8>]);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Key<'a>(&'a [u8]);
        impl Serialize for Key<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                serialize_bytes(&mut map, KEY, Bytes::escaped(self.0))?;
                map.end()
            }
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for key in self.0 {
            list.serialize_element(&Key(key))?;
        }
        list.end()
    }
}

/// The keys that are lost with each damaged part.
#[derive(Debug, Default)]
pub(super) struct LostKeys(BTreeMap<DamagedPlace, Lost>);

impl LostKeys {
    /// The keys lost with a part; `None` if there are none or they cannot be determined.
    pub(super) fn of(&self, part: &DamagedPlace) -> Option<&Lost> {
        self.0.get(part).filter(|lost| !lost.is_empty())
    }

    /// Collects the lost keys of a directory, at most `limit` for each part. A table that cannot be
    /// read for another reason than damage is added to the report.
    pub(super) fn in_directory(catalog: &Catalog, report: &mut VerifyReport, limit: usize) -> Self {
        let mut lost = Self::default();
        let parts: BTreeSet<DamagedPlace> = report.damage.iter().map(DamagedPlace::of).collect();
        let blobs: BTreeMap<BlobNumber, PathBuf> = catalog
            .blobs()
            // If the list of blobs cannot be read, that is in the report already; no blob is known
            // then.
            .into_iter()
            .flat_map(|blobs| blobs.keys())
            .map(|&blob| (blob, catalog.blob_path(blob)))
            .filter(|(_, path)| parts.contains(&DamagedPlace::File(path.clone())))
            .collect();
        for table in &catalog.tables {
            let path = table.path(&catalog.dir);
            let blocks = damaged_blocks(&parts, &path);
            let is_unreadable = parts.contains(&DamagedPlace::File(path.clone()));
            if blocks.is_empty() && blobs.is_empty() && !is_unreadable {
                continue;
            }
            let collected = match catalog.open_table(table, &reader_options()) {
                Ok(file) => lost.collect(&file, &path, &blocks, &blobs, limit),
                // The table cannot be opened, so all its keys are lost with the part that is
                // damaged.
                Err(error) if is_damage(&error) => {
                    let all = (table.record.min_hash, table.record.max_hash);
                    lost.0.entry(DamagedPlace::of(&error)).or_default().hashes.push(all);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            collected.unwrap_or_else(|error| add_unread(report, error));
        }
        lost
    }

    /// Collects the lost keys of one table.
    pub(super) fn in_table(
        file: &StaticSortedFile,
        report: &mut VerifyReport,
        limit: usize,
    ) -> Self {
        let mut lost = Self::default();
        let parts: BTreeSet<DamagedPlace> = report.damage.iter().map(DamagedPlace::of).collect();
        let path = file.label().path().to_owned();
        let blocks = damaged_blocks(&parts, &path);
        lost.collect(file, &path, &blocks, &BTreeMap::new(), limit)
            .unwrap_or_else(|error| add_unread(report, error));
        lost
    }

    fn collect(
        &mut self,
        file: &StaticSortedFile,
        path: &Path,
        blocks: &BTreeSet<BlockIndex>,
        blobs: &BTreeMap<BlobNumber, PathBuf>,
        limit: usize,
    ) -> Result<(), ReadError> {
        let numbers = blobs.keys().copied().collect();
        file.affected_by(blocks, &numbers, &mut |affected| {
            match affected {
                Affected::ValueInBlock { block, key } => {
                    let part = DamagedPlace::Block(path.to_owned(), block);
                    self.0.entry(part).or_default().key(key, limit);
                }
                Affected::ValueInBlob { blob, key } => {
                    let path = blobs.get(&blob).ok_or_else(|| ReadError::Internal {
                        file: file.label().clone(),
                        invariant: "the blobs of lost values are those that were asked for",
                    })?;
                    self.0.entry(DamagedPlace::File(path.clone())).or_default().key(key, limit);
                }
                Affected::Hashes { block, hashes } => {
                    let part = DamagedPlace::Block(path.to_owned(), block);
                    let range = (*hashes.start(), *hashes.end());
                    self.0.entry(part).or_default().hashes.push(range);
                }
            }
            Ok::<(), ReadError>(())
        })
    }
}

/// Adds the error of a file that could not be read and may be intact, unless the report has one of
/// that file.
fn add_unread(report: &mut VerifyReport, error: ReadError) {
    let is_same = |known: &ReadError| !is_damage(known) && known.file() == error.file();
    if !report.damage.iter().any(is_same) {
        report.damage.push(error);
    }
}

/// The damaged blocks of the table at `path`.
fn damaged_blocks(parts: &BTreeSet<DamagedPlace>, path: &Path) -> BTreeSet<BlockIndex> {
    let of_table = parts.iter().filter_map(|part| match part {
        DamagedPlace::Block(file, block) if file == path => Some(*block),
        DamagedPlace::Block(..) | DamagedPlace::File(_) => None,
    });
    of_table.collect()
}
