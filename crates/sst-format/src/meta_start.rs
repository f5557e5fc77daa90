//! The start of a meta file: everything before its filter area.

use alloc::vec::Vec;

use crate::bytes::{count, count_u64, u16_in, u32_at, u32_in, u64_in};
use crate::filter::FilterBytes;
use crate::sst_meta::validate_hashes;
use crate::{FormatError, SequenceNumber, SstMeta, Structure, TableFlags, TableProtection};

/// The first four bytes of a meta file.
pub const META_MAGIC: u32 = 0xfe4a_da4a;

const STRUCTURE: Structure = Structure::MetaFile;
pub(crate) const TABLE_LEN: usize = 38;

/// The description of one table in a meta file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRecord {
    /// Sequence number: the table's file is `NNNNNNNN.sst`.
    pub sequence: SequenceNumber,
    /// Number of blocks, the index block included.
    pub block_count: u16,
    /// Hash of the first entry.
    pub min_hash: u64,
    /// Hash of the last entry.
    pub max_hash: u64,
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Flags.
    pub flags: TableFlags,
    /// END of the filter in the filter area, in bytes.
    pub filter_end: u32,
}

impl TableRecord {
    /// The record of a table that was just written. The encoder sets [`TableRecord::filter_end`].
    #[must_use]
    pub const fn new(sequence: SequenceNumber, meta: &SstMeta) -> Self {
        let SstMeta { block_count, min_hash, max_hash, file_size, flags, .. } = *meta;
        Self { sequence, block_count, min_hash, max_hash, file_size, flags, filter_end: 0 }
    }

    /// The description of the table with its filter, which is empty if it has none, and its
    /// protection.
    #[must_use]
    pub const fn description(
        &self,
        filter: FilterBytes,
        protection: Option<TableProtection>,
    ) -> SstMeta {
        let Self { block_count, min_hash, max_hash, file_size, flags, .. } = *self;
        SstMeta { block_count, min_hash, max_hash, file_size, flags, filter, protection }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.0.to_be_bytes());
        out.extend_from_slice(&self.block_count.to_be_bytes());
        out.extend_from_slice(&self.min_hash.to_be_bytes());
        out.extend_from_slice(&self.max_hash.to_be_bytes());
        out.extend_from_slice(&self.file_size.to_be_bytes());
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        out.extend_from_slice(&self.filter_end.to_be_bytes());
    }

    const fn from_bytes(bytes: &[u8; TABLE_LEN]) -> Self {
        Self {
            sequence: SequenceNumber(u32_in::<0, _>(bytes)),
            block_count: u16_in::<4, _>(bytes),
            min_hash: u64_in::<6, _>(bytes),
            max_hash: u64_in::<14, _>(bytes),
            file_size: u64_in::<22, _>(bytes),
            flags: TableFlags(u32_in::<30, _>(bytes)),
            filter_end: u32_in::<34, _>(bytes),
        }
    }
}

/// A checked view of the start of a meta file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetaStart<'a> {
    pub(crate) family: u32,
    obsolete: &'a [[u8; 4]],
    tables: &'a [[u8; TABLE_LEN]],
    pub(crate) used_keys_end: u32,
}

impl<'a> MetaStart<'a> {
    /// Parses the start of a meta file. `bytes` may go on behind it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut rest = Rest { bytes, at: 0 };
        match rest.word()? {
            META_MAGIC => {}
            found => return Err(FormatError::WrongMagic { found }),
        }
        let family = rest.word()?;
        let obsolete = rest.records()?;
        let tables = rest.records()?;
        let used_keys_end = rest.word()?;
        let start = Self { family, obsolete, tables, used_keys_end };
        start.validate_filter_ends()?;
        start.tables().try_for_each(|table| validate_hashes(table.min_hash, table.max_hash))?;
        Ok(start)
    }

    fn validate_filter_ends(&self) -> Result<(), FormatError> {
        let ends = self.tables().map(|table| table.filter_end).chain([self.used_keys_end]);
        let mut previous = 0;
        for (index, end) in (0..).zip(ends) {
            if end < previous {
                return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
            }
            previous = end;
        }
        Ok(())
    }

    /// Its length in bytes: the filter area starts there.
    pub(crate) const fn len(&self) -> usize {
        self.obsolete.as_flattened().len() + self.tables.as_flattened().len() + 20
    }

    /// The byte of the file at which the filter area ends.
    pub(crate) const fn filters_end(&self) -> u64 {
        self.len() as u64 + self.used_keys_end as u64
    }

    pub(crate) const fn table_count(&self) -> usize {
        self.tables.len()
    }

    pub(crate) fn obsolete(&self) -> impl ExactSizeIterator<Item = SequenceNumber> + use<'a> {
        self.obsolete.iter().map(|word| SequenceNumber(u32::from_be_bytes(*word)))
    }

    pub(crate) fn tables(&self) -> impl ExactSizeIterator<Item = TableRecord> + use<'a> {
        self.tables.iter().map(TableRecord::from_bytes)
    }

    /// The byte of the filter area at which the used-keys filter starts: the end of the last
    /// filter.
    pub(crate) fn used_keys_start(&self) -> u32 {
        // Without tables the used-keys filter is the first one.
        self.tables.last().map_or(0, |table| TableRecord::from_bytes(table).filter_end)
    }
}

/// The bytes of a start that are not parsed yet.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn too_short(&self, len: u64) -> FormatError {
        let (needed, available) = (self.at as u64 + len, self.bytes.len() as u64);
        FormatError::TooShort { structure: STRUCTURE, needed, available }
    }

    fn word(&mut self) -> Result<u32, FormatError> {
        let word = u32_at(self.bytes, self.at).ok_or_else(|| self.too_short(4))?;
        self.at += 4;
        Ok(word)
    }

    /// Reads a count, then that many records.
    fn records<const LEN: usize>(&mut self) -> Result<&'a [[u8; LEN]], FormatError> {
        let len = u64::from(self.word()?) * LEN as u64;
        let behind = self.bytes.get(self.at..);
        let records = usize::try_from(len).ok().and_then(|len| behind?.get(..len));
        let records = records.ok_or_else(|| self.too_short(len))?;
        self.at += records.len();
        Ok(records.as_chunks().0)
    }
}

/// Appends everything before the filter area. Each table comes with the length of its filter in
/// bytes.
pub(crate) fn encode_start(
    out: &mut Vec<u8>,
    family: u32,
    obsolete: &[SequenceNumber],
    tables: impl ExactSizeIterator<Item = (TableRecord, u64)>,
) -> Result<(), FormatError> {
    out.extend_from_slice(&META_MAGIC.to_be_bytes());
    out.extend_from_slice(&family.to_be_bytes());
    out.extend_from_slice(&count(STRUCTURE, obsolete.len())?.to_be_bytes());
    for sequence in obsolete {
        out.extend_from_slice(&sequence.0.to_be_bytes());
    }
    out.extend_from_slice(&count(STRUCTURE, tables.len())?.to_be_bytes());
    let mut filter_end = 0;
    for (record, filter_len) in tables {
        // Saturates only where the length is refused anyway.
        let end = u64::from(filter_end).saturating_add(filter_len);
        filter_end = count_u64(STRUCTURE, end)?;
        TableRecord { filter_end, ..record }.encode(out);
    }
    // We write no used-keys filter, so it ends where the last filter does.
    out.extend_from_slice(&filter_end.to_be_bytes());
    Ok(())
}
