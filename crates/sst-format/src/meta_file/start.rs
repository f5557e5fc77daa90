//! The start of a meta file: everything before its filter area.

use crate::bytes::u32_at;
use crate::sst_meta::validate_hashes;
use crate::{FormatError, SequenceNumber};

use super::{META_MAGIC, STRUCTURE, TABLE_LEN, TableRecord};

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
