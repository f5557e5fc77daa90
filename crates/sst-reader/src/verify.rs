//! Checking every byte and every reference of a table, or of a whole directory.

mod metas;
mod survey;

use std::collections::BTreeSet;
use std::path::Path;

use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::meta_head::{HashRange, Shard};
use sst_format::value_ref::{ValueRef, small_value_range};
use sst_format::{BlobNumber, BlockIndex, FormatError};

use self::metas::verify_metas;
use self::survey::Survey;
use crate::block::blocks::Fill;
use crate::block::residency::{ReadAhead, Spans};
use crate::hash::entry_hash;
use crate::{
    Access, BlockRole, Cancelled, Catalog, Corruption, FileLabel, Monitor, Phase, Progress,
    ReadError, ReaderOptions, SstSet, StaticSortedFile, hash_key,
};

/// After so much damage the rest of a key block is passed over: a block of a few KB can hold
/// millions of wrong entries, and a report must not grow beyond all bounds.
const MAX_DAMAGE_PER_BLOCK: usize = 16;

/// The result of a verification. Without damage, every lookup and every scan gives what was
/// written.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tables checked.
    pub tables: u64,
    /// Blocks checked.
    pub blocks: u64,
    /// Entries checked.
    pub entries: u64,
    /// Blob files checked.
    pub blobs: u64,
    /// Bytes of all files checked.
    pub bytes: u64,
    /// Families whose live entries match the certificate of the commit.
    pub certificates: u64,
    /// The shard that the directory holds; `None` if it holds everything.
    pub shard: Option<Shard>,
    /// Everything that is wrong, in the order found; of the entries of one key block the first 16
    /// or so that are.
    pub damage: Vec<ReadError>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.damage.is_empty()
    }

    fn absorb(&mut self, other: Self) {
        self.tables += other.tables;
        self.blocks += other.blocks;
        self.entries += other.entries;
        self.blobs += other.blobs;
        self.bytes += other.bytes;
        self.certificates += other.certificates;
        self.damage.extend(other.damage);
    }
}

/// Bytes checked so far, and the monitor that is told of them.
#[derive(Debug)]
pub(crate) struct Checked<'m> {
    monitor: &'m Monitor,
    bytes: u64,
}

impl<'m> Checked<'m> {
    const fn new(monitor: &'m Monitor) -> Self {
        Self { monitor, bytes: 0 }
    }

    /// Adds bytes of `file`, and fails if the verification was cancelled.
    fn add(&mut self, file: &FileLabel, bytes: u64) -> Result<(), ReadError> {
        self.bytes += bytes;
        let progress = Progress::new(Phase::Verify).bytes(self.bytes);
        self.monitor.step(progress).map_err(|Cancelled| ReadError::cancelled(file))
    }
}

impl StaticSortedFile {
    /// Checks every block and every entry: checksums, decompression, the order of entries, every
    /// reference, the index, the filter, and that no block is unused or used twice. Goes on after
    /// damage, as far as it can. O(file size).
    ///
    /// `monitor` is told of the bytes checked after each block.
    ///
    /// # Errors
    ///
    /// [`ReadError::Cancelled`] only: damage, and a file that cannot be read, are part of the
    /// report.
    pub fn verify(&self, monitor: &Monitor) -> Result<VerifyReport, ReadError> {
        self.verify_on(HashRange::FULL, &mut Checked::new(monitor)).map(|(report, _)| report)
    }

    /// [`StaticSortedFile::verify`] as a part of a longer verification. Gives the blobs as well to
    /// which the entries with hashes in `hashes` refer.
    fn verify_on(
        &self,
        hashes: HashRange,
        checked: &mut Checked<'_>,
    ) -> Result<(VerifyReport, BTreeSet<BlobNumber>), ReadError> {
        let mut pass = Pass {
            table: self,
            payload_lens: Vec::with_capacity(usize::from(self.block_count())),
            roles: vec![BlockRole::Unused; usize::from(self.block_count())],
            hashes,
            blobs: BTreeSet::new(),
            last: None,
            report: VerifyReport { tables: 1, bytes: self.file_size(), ..VerifyReport::default() },
        };
        pass.check_blocks(checked)?;
        pass.check_entries();
        Ok((pass.report, pass.blobs))
    }

    /// Numbers of the blobs that the table's entries refer to. O(file size).
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a key block cannot be read or is damaged.
    pub fn blobs(&self) -> Result<BTreeSet<BlobNumber>, ReadError> {
        let mut blobs = BTreeSet::new();
        let mut cursor = self.cursor();
        while let Some(entry) = cursor.next()? {
            if let ValueRef::Blob(number) = entry.value_ref()? {
                blobs.insert(number);
            }
        }
        Ok(blobs)
    }
}

/// One verification of one table.
struct Pass<'a> {
    table: &'a StaticSortedFile,
    /// Uncompressed length of every block that is intact.
    payload_lens: Vec<Option<u64>>,
    roles: Vec<BlockRole>,
    /// The hashes whose blobs matter.
    hashes: HashRange,
    blobs: BTreeSet<BlobNumber>,
    /// Hash and key of the last entry seen.
    last: Option<(u64, Vec<u8>)>,
    report: VerifyReport,
}

impl Pass<'_> {
    fn damage(&mut self, block: BlockIndex, cause: impl Into<Corruption>) {
        self.report.damage.push(self.table.corrupt(block, cause));
    }

    /// Checksums and decompression of every block.
    fn check_blocks(&mut self, checked: &mut Checked<'_>) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        let mut ahead = ReadAhead::behind(self.table.blocks(), None);
        for block in (0..self.table.block_count()).map(BlockIndex) {
            self.table.blocks().prefetch_ahead(block, &mut ahead);
            self.report.blocks += 1;
            match self.payload_len(block, &mut buffer) {
                Ok((payload_len, stored_len)) => {
                    self.payload_lens.push(Some(payload_len));
                    checked.add(self.table.label(), stored_len)?;
                }
                Err(error) => {
                    self.payload_lens.push(None);
                    self.report.damage.push(error);
                }
            }
        }
        Ok(())
    }

    fn payload_len(
        &self,
        block: BlockIndex,
        buffer: &mut Vec<u8>,
    ) -> Result<(u64, u64), ReadError> {
        let (header, stored) = self.table.blocks().reverified_block(block, buffer)?;
        let decoded = self.table.blocks().decoder(block).decode(header, stored)?;
        Ok((decoded.len_from(stored), stored.len() as u64))
    }

    /// Checks the index, every entry of every key block, and the totals.
    fn check_entries(&mut self) {
        let index_block = self.table.blocks().index_block();
        self.claim(index_block, BlockRole::Index, index_block);
        let payload = match self.table.blocks().raw_payload(index_block) {
            Ok(payload) => payload,
            Err(error) => return self.report.damage.push(error),
        };
        let index = match IndexBlock::parse(payload.as_slice()) {
            Ok(index) => index,
            Err(error) => return self.damage(index_block, error),
        };
        if let Err(error) = index.validate(self.table.block_count()) {
            self.damage(index_block, error);
        }
        let damaged_before = self.report.damage.len();
        let table = self.table;
        let blocks = table.blocks();
        // Each read that follows reports a block that is not there.
        let ranges = index.blocks().map_while(|block| blocks.byte_range(block));
        let mut spans = Spans::new(ranges);
        for (i, block) in index.blocks().enumerate() {
            blocks.prefetch_spans(&mut spans);
            self.claim(block, BlockRole::Keys, index_block);
            let is_intact =
                self.payload_lens.get(usize::from(block.0)).is_some_and(Option::is_some);
            if is_intact {
                let bounds = (index.first_hash(i), index.first_hash(i + 1));
                self.check_key_block(block, bounds);
            }
        }
        self.check_totals(damaged_before);
    }

    fn check_key_block(&mut self, block: BlockIndex, bounds: (Option<u64>, Option<u64>)) {
        let payload = match self.table.blocks().payload(block, Fill::Bypass) {
            Ok(payload) => payload,
            Err(error) => return self.report.damage.push(error),
        };
        let parsed = KeyBlock::parse(payload.as_slice())
            .and_then(|parsed| parsed.validate(hash_key).map(|()| parsed));
        match parsed {
            Ok(parsed) => self.check_key_block_entries(block, &parsed, bounds),
            Err(error) => self.damage(block, error),
        }
    }

    fn check_key_block_entries(
        &mut self,
        block: BlockIndex,
        key_block: &KeyBlock<'_>,
        (first_hash, next_hash): (Option<u64>, Option<u64>),
    ) {
        let most = self.report.damage.len() + MAX_DAMAGE_PER_BLOCK;
        for i in 0..key_block.entry_count() {
            if self.report.damage.len() >= most {
                return;
            }
            let entry = match key_block.entry(i) {
                Ok(entry) => entry,
                Err(error) => return self.damage(block, error),
            };
            let hash = entry_hash(&entry);
            self.report.entries += 1;
            if i == 0 {
                let is_first = self.last.is_none();
                self.check_first(block, hash, entry.key, first_hash);
                if is_first && hash != self.table.min_hash() {
                    let (end, expected) = ("lowest", self.table.min_hash());
                    self.damage(block, Corruption::HashRange { end, expected, found: hash });
                }
            }
            if i + 1 == key_block.entry_count() {
                if next_hash.is_some_and(|next| hash >= next) {
                    self.damage(block, Corruption::IndexMismatch { hash });
                }
                self.last = Some((hash, entry.key.to_vec()));
            }
            if self.table.filter().is_some_and(|filter| !filter.may_contain(hash)) {
                self.damage(block, Corruption::FilterDenies { hash });
            }
            match entry.value_ref() {
                // A shard has the blobs of its own entries only.
                Ok(ValueRef::Blob(_)) if !self.hashes.contains(hash) => {}
                Ok(value_ref) => self.check_value_ref(block, value_ref),
                Err(error) => self.damage(block, error),
            }
        }
    }

    /// The first entry of a key block: where the index says, and behind the last block's last.
    fn check_first(&mut self, block: BlockIndex, hash: u64, key: &[u8], indexed: Option<u64>) {
        if indexed.is_some_and(|indexed| indexed != hash) {
            self.damage(block, Corruption::IndexMismatch { hash });
        }
        if self.last.as_ref().is_some_and(|(h, k)| (*h, k.as_slice()) >= (hash, key)) {
            let structure = sst_format::Structure::KeyBlock;
            self.damage(block, FormatError::OutOfOrder { structure, index: 0 });
        }
    }

    fn check_value_ref(&mut self, key_block: BlockIndex, value_ref: ValueRef<'_>) {
        match value_ref {
            ValueRef::Inline(_) | ValueRef::Deleted => {}
            ValueRef::Blob(number) => {
                self.blobs.insert(number);
            }
            ValueRef::Medium(block) => self.claim(block, BlockRole::MediumValue, key_block),
            ValueRef::Small { block, len, offset } => {
                self.claim(block, BlockRole::SmallValues, key_block);
                let payload_len = self.payload_lens.get(usize::from(block.0)).copied().flatten();
                if let Some(Err(error)) =
                    payload_len.map(|payload_len| small_value_range(payload_len, len, offset))
                {
                    self.damage(key_block, error);
                }
            }
        }
    }

    /// Records the use of a block, as block `by` states it.
    fn claim(&mut self, block: BlockIndex, role: BlockRole, by: BlockIndex) {
        let block_count = self.table.block_count();
        match self.roles.get_mut(usize::from(block.0)) {
            None => self.damage(by, FormatError::NoSuchBlock { block: block.0, block_count }),
            Some(known) if *known == BlockRole::Unused => *known = role,
            // Many entries share a block of small values, and entries may share a medium value.
            Some(known) if *known == role && role != BlockRole::Keys => {}
            Some(_) => self.damage(block, Corruption::BlockUsedTwice),
        }
    }

    /// Checks that need all entries: unused blocks, the number of entries, the highest hash.
    fn check_totals(&mut self, damaged_before: usize) {
        if self.report.damage.len() > damaged_before || self.payload_lens.contains(&None) {
            return;
        }
        let unused: Vec<_> = (0..)
            .zip(&self.roles)
            .filter(|(_, role)| **role == BlockRole::Unused)
            .map(|(block, _)| BlockIndex(block))
            .collect();
        for block in unused {
            self.damage(block, Corruption::UnusedBlock);
        }
        let label = self.table.label();
        let (expected, found) = (self.table.entry_count(), self.report.entries);
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            let cause = Corruption::EntryCount { expected, found };
            self.report.damage.push(ReadError::corrupt(label, cause));
        }
        let (expected, last) = (self.table.max_hash(), self.last.as_ref().map(|(hash, _)| *hash));
        if let Some(found) = last.filter(|&last| last != expected) {
            let cause = Corruption::HashRange { end: "highest", expected, found };
            self.report.damage.push(ReadError::corrupt(label, cause));
        }
    }
}

/// Checks a whole directory, all families: the chain of checksums, every table and every blob file,
/// and, where all of that is intact, that the live entries are what the commit certifies, if it
/// does. Goes on after damage, as far as it can: if the chain is broken at its head, every file
/// that is there is still checked, against the description in the newest meta file that can be
/// read. O(size of the directory).
///
/// `monitor` is told of the bytes checked after each block and each blob.
///
/// # Errors
///
/// [`ReadError::Io`] and [`ReadError::Cancelled`] only: damage is part of the report.
pub fn verify_directory(
    dir: impl AsRef<Path>,
    options: &ReaderOptions,
    monitor: &Monitor,
) -> Result<VerifyReport, ReadError> {
    let dir = dir.as_ref();
    let checked = &mut Checked::new(monitor);
    let mut report = VerifyReport::default();
    let catalog = match Catalog::read_with(dir, &options.clone().access(Access::Read)) {
        Ok(catalog) => catalog,
        Err(error) if error.is_corruption() => {
            return Survey::new(dir, options, error).run(checked);
        }
        Err(error) => return Err(error),
    };
    report.shard = catalog.shard;
    let (damage, blobs_of_tables) = verify_metas(&catalog, checked)?;
    report.damage.extend(damage);
    let mut blobs: BTreeSet<BlobNumber> = match catalog.blobs() {
        Ok(blobs) => blobs.keys().copied().collect(),
        Err(error) => {
            // The list is a part of a meta file, whose damage is in the report already.
            let is_known = error.is_corruption()
                && report.damage.iter().any(|known| known.file() == error.file());
            if !is_known {
                report.damage.push(error);
            }
            BTreeSet::new()
        }
    };
    for table in &catalog.tables {
        match catalog.open_table(table, options) {
            Ok(file) => {
                let (found, referred) = file.verify_on(catalog.shard_hashes(), checked)?;
                report.absorb(found);
                if let Some(blob) = blobs_of_tables.foreign(table, &referred) {
                    let cause = Corruption::UnlistedBlob { blob };
                    let label = FileLabel::new(table.path(dir));
                    report.damage.push(ReadError::corrupt(&label, cause));
                }
                blobs.extend(referred);
            }
            Err(error) => report.damage.push(error),
        }
    }
    for number in blobs {
        report.blobs += 1;
        match catalog.read_blob_within(number, options.access, options.payload_limit()) {
            Ok(blob) => {
                report.bytes += blob.len() as u64;
                checked.add(&FileLabel::new(&catalog.dir), blob.len() as u64)?;
            }
            Err(error) => report.damage.push(error),
        }
    }
    // The certificate of a damaged directory need not be looked at.
    if report.is_intact() {
        for certificate in &catalog.certificates {
            let set = SstSet::from_catalog(catalog.clone(), certificate.family, options);
            match set.verify_certificate(monitor) {
                // The family is one of those that have a certificate.
                Ok(_) => report.certificates += 1,
                Err(error @ ReadError::Cancelled { .. }) => return Err(error),
                Err(error) => report.damage.push(error),
            }
        }
    }
    Ok(report)
}
