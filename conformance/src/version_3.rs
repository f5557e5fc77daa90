//! Makes directories of format version 3 from directories that were published in an earlier
//! version.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::{MetaFile, TableParts};
use sst_format::meta_head::{
    BlockHeaders, CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3,
};

use crate::random_files::AnyError;

/// Rewrites every live meta file of a protected directory in version 3. If the newest commit has
/// several tables, it becomes several meta files, one for each table; the last of them gets the
/// next sequence number.
///
/// # Errors
///
/// If the directory cannot be read, or was not written by [`sst_writer::Publisher`].
pub fn rewrite(dir: &Path) -> Result<(), AnyError> {
    let current_path = dir.join(CURRENT_FILE_NAME);
    let current = Current::parse(&fs::read(&current_path)?, crc32fast::hash)?.sequence;
    let newest = fs::read(path_of(dir, current))?;
    let newest = MetaFile::parse(&newest, crc32fast::hash)?;
    let live = newest.protection().ok_or("the directory is protected")?.live_metas();
    let mut listed: Vec<ListedMeta> = Vec::new();
    for sequence in live.map(|live| live.sequence) {
        let bytes = fs::read(path_of(dir, sequence))?;
        let meta = MetaFile::parse(&bytes, crc32fast::hash)?;
        let rewritten = Rewritten { bytes: &bytes, meta };
        let count = rewritten.meta.tables().len();
        if sequence == current && count > 1 {
            let last = SequenceNumber(sequence.0 + u32::try_from(count)? - 1);
            for (part, index) in (sequence.0..last.0).map(SequenceNumber).zip(0..) {
                rewritten.write(dir, part, last, index..index + 1, &mut listed)?;
            }
            rewritten.write(dir, last, last, count - 1..count, &mut listed)?;
            fs::write(&current_path, Current::encode(last, crc32fast::hash))?;
        } else {
            rewritten.write(dir, sequence, sequence, 0..count, &mut listed)?;
        }
    }
    Ok(())
}

fn path_of(dir: &Path, sequence: SequenceNumber) -> std::path::PathBuf {
    dir.join(FileName { sequence, kind: FileKind::Meta }.to_string())
}

/// A meta file to be rewritten.
struct Rewritten<'a> {
    bytes: &'a [u8],
    meta: MetaFile<'a>,
}

impl Rewritten<'_> {
    /// Writes some of the tables as the meta file `sequence` of the commit `commit`, and adds that
    /// file to `listed`.
    fn write(
        &self,
        dir: &Path,
        sequence: SequenceNumber,
        commit: SequenceNumber,
        tables: std::ops::Range<usize>,
        listed: &mut Vec<ListedMeta>,
    ) -> Result<(), AnyError> {
        let section = self.meta.protection().ok_or("the meta file is protected")?;
        let described: Vec<DescribedTable<'_>> = self
            .meta
            .described()?
            .into_iter()
            .map(|TableParts { record, filter, protection }| {
                let protection = protection?;
                Some(DescribedTable {
                    record,
                    entry_count: protection.entry_count,
                    filter: self.bytes.get(filter)?,
                    headers: BlockHeaders::Stored(self.bytes.get(protection.block_headers)?),
                    filter_checksum: None,
                    headers_checksum: None,
                })
            })
            .collect::<Option<_>>()
            .ok_or("a range lies within the file")?;
        let described = described.get(tables).ok_or("there are as many tables")?;
        let is_part = sequence != commit;
        // The hashes of obsolete tables are unknown, so the range covers all hashes.
        let this = ListedMeta {
            sequence,
            checksum: 0,
            family: self.meta.family(),
            hashes: HashRange::FULL,
        };
        let list: Vec<ListedMeta> = listed.iter().copied().chain([this]).collect();
        let obsolete: Vec<SequenceNumber> = self.meta.obsolete().collect();
        let certificates: Vec<_> = section.certificates().collect();
        let parts = MetaFileV3 {
            family: self.meta.family(),
            obsolete: if is_part { &[] } else { &obsolete },
            tables: described,
            kind: CommitKind::Append,
            commit,
            live_metas: if is_part { &[] } else { &list },
            blobs: &self.blobs(dir, described)?,
            certificates: if is_part { &[] } else { &certificates },
            extension: &[],
        };
        let (bytes, checksum) = parts.encode(crc32fast::hash)?;
        fs::write(path_of(dir, sequence), bytes)?;
        listed.push(ListedMeta { checksum, ..this });
        Ok(())
    }

    /// The blobs to which these tables refer. If they are all tables of the meta file, all of its
    /// blobs.
    fn blobs(
        &self,
        dir: &Path,
        tables: &[DescribedTable<'_>],
    ) -> Result<Vec<sst_format::protection::BlobRecord>, AnyError> {
        let section = self.meta.protection().ok_or("the meta file is protected")?;
        let all: BTreeMap<_, _> = section.blobs().map(|blob| (blob.number, blob)).collect();
        if tables.len() == self.meta.tables().len() {
            return Ok(all.into_values().collect());
        }
        let mut used = BTreeMap::new();
        for table in tables {
            let name = FileName { sequence: table.record.sequence, kind: FileKind::Sst };
            let options = sst_reader::ReaderOptions::default();
            let path = dir.join(name.to_string());
            let table = sst_reader::StaticSortedFile::open_standalone(&path, &options)?;
            for entry in table.iter() {
                if let sst_reader::ReadValue::Blob(number) = entry?.value {
                    used.insert(number, *all.get(&number).ok_or("a listed blob")?);
                }
            }
        }
        Ok(used.into_values().collect())
    }
}
