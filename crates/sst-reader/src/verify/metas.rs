//! Checks the live meta files of a directory, each as a whole.

use std::collections::{BTreeMap, BTreeSet};

use sst_format::file_name::FileKind;
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::{HashRange, ListedMeta};
use sst_format::protection::{CHECKSUM_FROM_END, ProtectionSection};
use sst_format::{BlobNumber, SequenceNumber};

use super::Checked;
use crate::block::triage::wrong_file;
use crate::set::path_of;
use crate::{Catalog, CatalogTable, Corruption, FileLabel, ReadError};

/// Checks every live meta file of a protected directory: the checksum over all of it, those of its
/// areas, and that it is the one that the newest lists, with the family and the hashes that the
/// list has for it. Opening a set reads the heads only. O(bytes of the meta files).
///
/// # Errors
///
/// [`ReadError::Cancelled`], and [`ReadError::Outdated`] if the directory has another commit by
/// now. Damage is returned, and what the meta files say of the blobs of tables.
pub(super) fn verify_metas(
    catalog: &Catalog,
    checked: &mut Checked<'_>,
) -> Result<(Vec<ReadError>, BlobsOfTables), ReadError> {
    let mut damage = Vec::new();
    let mut metas = Metas {
        catalog,
        listed: BTreeMap::new(),
        hashes: BTreeMap::new(),
        blobs: BlobsOfTables::default(),
    };
    if !catalog.is_protected {
        return Ok((damage, metas.blobs));
    }
    // The newest comes first, and brings the list.
    for &sequence in &catalog.meta_files {
        let label = FileLabel::new(path_of(&catalog.dir, sequence, FileKind::Meta));
        match metas.read(sequence, &label, checked) {
            Ok(wrong) => {
                for cause in wrong {
                    match catalog.outdated_or(ReadError::corrupt(&label, cause)) {
                        error @ ReadError::Outdated { .. } => return Err(error),
                        error => damage.push(error),
                    }
                }
            }
            Err(error @ (ReadError::Cancelled { .. } | ReadError::Outdated { .. })) => {
                return Err(error);
            }
            Err(error) => damage.push(error),
        }
    }
    damage.extend(metas.outside_of_listed_hashes());
    damage.extend(metas.of_other_families());
    Ok((damage, metas.blobs))
}

/// The blobs to which each table may refer, as far as its meta file tells which tables refer to
/// which blobs.
#[derive(Debug, Default)]
pub(super) struct BlobsOfTables(BTreeMap<(SequenceNumber, SequenceNumber), BTreeSet<BlobNumber>>);

impl BlobsOfTables {
    /// A blob among those to which a table refers that its meta file has for other tables only.
    pub(super) fn foreign(
        &self,
        table: &CatalogTable,
        referred: &BTreeSet<BlobNumber>,
    ) -> Option<BlobNumber> {
        let known = self.0.get(&(table.meta_file?, table.sequence))?;
        referred.difference(known).next().copied()
    }

    fn add(
        &mut self,
        meta: SequenceNumber,
        section: &ProtectionSection<'_>,
        label: &FileLabel,
    ) -> Result<(), ReadError> {
        // Older builds do not say which tables refer to which blobs.
        let Some(head) = section.head() else { return Ok(()) };
        let Some(counts) = head.blob_counts() else { return Ok(()) };
        let all: Vec<_> = section.blobs().map(|blob| blob.number).collect();
        let mut rest = all.as_slice();
        let mut parts = Vec::new();
        // Parsing has checked that each table has a count.
        for (table, count) in head.tables().zip(counts) {
            let (part, behind) = rest.split_at_checked(count as usize).ok_or_else(|| {
                ReadError::internal(label, "a parsed head counts the blobs that it lists")
            })?;
            parts.push((table.record.sequence, part));
            rest = behind;
        }
        for (table, part) in parts {
            self.0.insert((meta, table), part.iter().chain(rest).copied().collect());
        }
        Ok(())
    }
}

/// The meta files read so far.
struct Metas<'a> {
    catalog: &'a Catalog,
    /// The list of the newest, if it is of version 3.
    listed: BTreeMap<SequenceNumber, ListedMeta>,
    /// The hashes of the tables that each meta file describes, and the numbers of those that it
    /// names obsolete.
    hashes: BTreeMap<SequenceNumber, Named>,
    blobs: BlobsOfTables,
}

/// The tables that a meta file names.
struct Named {
    label: FileLabel,
    family: u32,
    /// Whether it is of version 3, in which it names tables of its own family only.
    has_head: bool,
    described: Vec<(SequenceNumber, HashRange)>,
    obsolete: Vec<SequenceNumber>,
}

impl Metas<'_> {
    /// Reads a meta file. Returns all that is wrong with it, though it can be read.
    fn read(
        &mut self,
        sequence: SequenceNumber,
        label: &FileLabel,
        checked: &mut Checked<'_>,
    ) -> Result<Vec<Corruption>, ReadError> {
        let outdated_or = |error| self.catalog.outdated_or(error);
        let bytes = self.catalog.read_whole(label).map_err(outdated_or)?;
        // Progress is counted in bytes of tables and blobs; this asks whether to go on.
        checked.add(label, 0)?;
        let meta = MetaFile::parse(&bytes, crc32fast::hash).map_err(|error| {
            let checksum_at = bytes.len().saturating_sub(CHECKSUM_FROM_END);
            outdated_or(ReadError::corrupt(label, wrong_file(label, &bytes, checksum_at, error)))
        })?;
        let commit = self.catalog.commit;
        let Some(section) = meta.protection() else {
            let cause = Corruption::ProtectionMismatch { meta: commit };
            return Err(outdated_or(ReadError::corrupt(label, cause)));
        };
        if sequence == commit {
            let listed = section.listed_metas().into_iter().flatten();
            self.listed = listed.map(|listed| (listed.sequence, listed)).collect();
        }
        let described = meta
            .tables()
            .map(|table| (table.sequence, HashRange { min: table.min_hash, max: table.max_hash }));
        let named = Named {
            label: label.clone(),
            family: meta.family(),
            has_head: section.head().is_some(),
            described: described.collect(),
            obsolete: meta.obsolete().collect(),
        };
        self.hashes.insert(sequence, named);
        self.blobs.add(sequence, section, label)?;
        let mut wrong = Vec::new();
        // Two tables may refer to a blob if the list is divided among them.
        let may_repeat = section.head().is_some_and(|head| head.blob_counts().is_some());
        let mut records = BTreeMap::new();
        for blob in section.blobs() {
            match records.insert(blob.number, blob) {
                Some(other) if other != blob => {
                    wrong.push(Corruption::UnequalBlobs { blob: blob.number });
                }
                Some(_) if !may_repeat => {
                    wrong.push(Corruption::BlobListedTwice { blob: blob.number });
                }
                Some(_) | None => {}
            }
        }
        if let Some(listed) = self.listed.get(&sequence) {
            if listed.family != meta.family() {
                let (expected, found) = (listed.family, meta.family());
                wrong.push(Corruption::ListedFamily { by: commit, expected, found });
            }
            if sequence != commit && listed.checksum != section.checksum() {
                let (expected, found) = (listed.checksum, Some(section.checksum()));
                wrong.push(Corruption::NotTheListedFile { by: commit, expected, found });
            }
        }
        if let Some(head) = section.head()
            && head.commit() > commit
        {
            wrong.push(Corruption::PartOfCommit { commit: head.commit() });
        }
        if let Err(error) = meta.check_number(sequence) {
            wrong.push(error.into());
        }
        Ok(wrong)
    }

    /// Meta files of version 3 that name a table that a meta file of another family describes: a
    /// reader of one family would miss what they say.
    fn of_other_families(&self) -> impl Iterator<Item = ReadError> {
        let mut families: BTreeMap<SequenceNumber, BTreeSet<u32>> = BTreeMap::new();
        for named in self.hashes.values() {
            for (table, _) in &named.described {
                families.entry(*table).or_default().insert(named.family);
            }
        }
        let headed = self.hashes.values().filter(|named| named.has_head);
        headed.filter_map(move |named| {
            let described = named.described.iter().map(|(table, _)| table);
            let mut tables = described.chain(&named.obsolete);
            let other = |table| {
                let mut families = families.get(table)?.iter();
                Some((*table, *families.find(|family| **family != named.family)?))
            };
            let (table, family) = tables.find_map(other)?;
            let cause = Corruption::OfOtherFamily { table, family };
            Some(ReadError::corrupt(&named.label, cause))
        })
    }

    /// Meta files that name a table whose hashes are not in what the list has for it: a reader of
    /// one range of hashes would miss what they say.
    fn outside_of_listed_hashes(&self) -> impl Iterator<Item = ReadError> {
        let all = self.hashes.values().flat_map(|named| &named.described);
        let mut known: BTreeMap<SequenceNumber, HashRange> = BTreeMap::new();
        for (table, hashes) in all {
            known
                .entry(*table)
                .and_modify(|known| *known = known.union(*hashes))
                .or_insert(*hashes);
        }
        let by = self.catalog.commit;
        self.hashes.iter().filter_map(move |(sequence, named)| {
            let listed = self.listed.get(sequence)?.hashes;
            let obsolete = named.obsolete.iter().filter_map(|table| known.get(table));
            let mut hashes = named.described.iter().map(|(_, hashes)| hashes).chain(obsolete);
            let is_within = |hashes: &HashRange| listed.union(*hashes) == listed;
            let outside = hashes.find(|hashes| !is_within(hashes))?;
            let cause = Corruption::ListedHashes { by, min: outside.min, max: outside.max };
            Some(ReadError::corrupt(&named.label, cause))
        })
    }
}
