//! The encoder of meta files of version 3.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{
    CommitKind, ListedMeta, PROTECTION_VERSION_HEADED, STRUCTURE, TableChecks, headers_len,
};
use crate::block::BlockHeader;
use crate::bytes::count;
use crate::content_digest::FamilyCertificate;
use crate::meta_start::{TableRecord, encode_start};
use crate::protection_records::{BlobRecord, encode_certificates, encode_trailer};
use crate::sst_meta::validate_hashes;
use crate::{Crc32, FormatError, SequenceNumber, SstMeta, Structure};

/// The headers of all blocks of a table, in order.
#[derive(Clone, Copy, Debug)]
pub enum BlockHeaders<'a> {
    /// As values.
    Parsed(&'a [BlockHeader]),
    /// As bytes copied from another meta file, 8 for each header.
    Stored(&'a [u8]),
}

impl BlockHeaders<'_> {
    /// Their length in bytes.
    const fn len(&self) -> u64 {
        match self {
            Self::Parsed(headers) => headers.len() as u64 * 8,
            Self::Stored(bytes) => bytes.len() as u64,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Parsed(headers) => headers.iter().for_each(|header| header.encode(out)),
            Self::Stored(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// A table to be described in a meta file. All bytes are borrowed, so describing a table again
/// copies none.
#[derive(Clone, Copy, Debug)]
pub struct DescribedTable<'a> {
    /// Its record. The encoder sets [`TableRecord::filter_end`].
    pub record: TableRecord,
    /// Number of entries.
    pub entry_count: u64,
    /// Its filter; empty if it has none.
    pub filter: &'a [u8],
    /// The headers of its blocks.
    pub headers: BlockHeaders<'a>,
    /// The CRC-32 that an older meta file states for the filter, if the bytes come from there. The
    /// encoder compares it.
    pub filter_checksum: Option<u32>,
    /// The CRC-32 that an older meta file states for the block headers, compared likewise.
    pub headers_checksum: Option<u32>,
}

impl<'a> DescribedTable<'a> {
    /// Describes a table that was just written.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if `meta` comes without the headers of its blocks.
    pub fn new(sequence: SequenceNumber, meta: &'a SstMeta) -> Result<Self, FormatError> {
        let protection = meta.protection.as_ref().ok_or(FormatError::WrongLen {
            structure: Structure::BlockHeaders,
            expected: headers_len(meta.block_count),
            found: 0,
        })?;
        Ok(Self {
            record: TableRecord::new(sequence, meta),
            entry_count: protection.entry_count,
            filter: meta.filter.as_slice(),
            headers: BlockHeaders::Parsed(&protection.block_headers),
            filter_checksum: None,
            headers_checksum: None,
        })
    }

    fn validate(&self) -> Result<(), FormatError> {
        validate_hashes(self.record.min_hash, self.record.max_hash)?;
        let (expected, found) = (headers_len(self.record.block_count), self.headers.len());
        if expected != found {
            let structure = Structure::BlockHeaders;
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        Ok(())
    }
}

/// The parts of a meta file of version 3.
#[derive(Clone, Copy, Debug)]
pub struct MetaFileV3<'a> {
    /// The family (key space) of the tables; 0 if there is only one.
    pub family: u32,
    /// Tables of older meta files that this commit makes obsolete.
    pub obsolete: &'a [SequenceNumber],
    /// The tables described, oldest first, each once.
    pub tables: &'a [DescribedTable<'a>],
    /// The kind of the commit.
    pub kind: CommitKind,
    /// Sequence number of the newest meta file of the commit. It is this file's own unless this
    /// file is a part.
    pub commit: SequenceNumber,
    /// Every live meta file as of this commit, in ascending order. Parts of this commit are among
    /// them, and this file comes last, with checksum 0. Empty in a part.
    pub live_metas: &'a [ListedMeta],
    /// Every blob file that the tables refer to.
    pub blobs: &'a [BlobRecord],
    /// Certificates of the content of families, in ascending order of families; may be empty. Empty
    /// in a part.
    pub certificates: &'a [FamilyCertificate],
    /// [`Extension::encode`](super::Extension::encode), or nothing.
    pub extension: &'a [u8],
}

impl MetaFileV3<'_> {
    /// Encodes the meta file. Also returns the checksum in its trailer.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if a count, the filters or the section exceed 32 bits:
    /// [`MetaLimits::split`](super::MetaLimits::split) divides the tables of a commit among several
    /// meta files. [`FormatError::WrongLen`] if a table comes without the headers of all its
    /// blocks, [`FormatError::EmptyHashRange`] if its lowest hash is above its highest,
    /// [`FormatError::OutOfOrder`] if a table is described twice, [`FormatError::ChecksumMismatch`]
    /// if borrowed bytes do not match their checksum.
    pub fn encode(&self, crc32: Crc32) -> Result<(Vec<u8>, u32), FormatError> {
        self.validate()?;
        let mut out = Vec::new();
        let records = self.tables.iter().map(|table| (table.record, table.filter.len()));
        encode_start(&mut out, self.family, self.obsolete, records)?;
        let start_len = out.len();
        let start_checksum = crc32(&out);
        let mut checks: Vec<TableChecks> = Vec::with_capacity(self.tables.len());
        for table in self.tables {
            let filter = append(&mut out, crc32, |out| out.extend_from_slice(table.filter));
            same(Structure::Filter, table.filter_checksum, filter)?;
            let entry_count = table.entry_count;
            checks.push(TableChecks { entry_count, filter, headers: 0 });
        }
        let section_start = out.len();
        out.extend_from_slice(&PROTECTION_VERSION_HEADED.to_be_bytes());
        for (table, checks) in self.tables.iter().zip(&mut checks) {
            checks.headers = append(&mut out, crc32, |out| table.headers.encode(out));
            same(Structure::BlockHeaders, table.headers_checksum, checks.headers)?;
        }
        let blobs =
            append(&mut out, crc32, |out| self.blobs.iter().for_each(|blob| blob.encode(out)));
        let live_metas =
            append(&mut out, crc32, |out| self.live_metas.iter().for_each(|meta| meta.encode(out)));
        let core_start = out.len();
        self.encode_core(&mut out, [live_metas, blobs, crc32(&[])], &checks)?;
        let core_len = count(STRUCTURE, out.len() - core_start)?;
        for word in [count(STRUCTURE, start_len)?, start_checksum, core_len] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        let (_, covered) = out.split_at(core_start);
        let core_checksum = crc32(covered);
        out.extend_from_slice(&core_checksum.to_be_bytes());
        let checksum = encode_trailer(&mut out, section_start, crc32)?;
        Ok((out, checksum))
    }

    /// Refuses tables that parsing would refuse, and a table that is described twice.
    fn validate(&self) -> Result<(), FormatError> {
        let mut described = BTreeSet::new();
        for (index, table) in (0..).zip(self.tables) {
            table.validate()?;
            if !described.insert(table.record.sequence) {
                return Err(FormatError::OutOfOrder { structure: Structure::MetaFile, index });
            }
        }
        Ok(())
    }

    fn encode_core(
        &self,
        out: &mut Vec<u8>,
        [live_metas, blobs, used_keys]: [u32; 3],
        checks: &[TableChecks],
    ) -> Result<(), FormatError> {
        for word in [
            PROTECTION_VERSION_HEADED,
            self.kind.number(),
            self.commit.0,
            count(STRUCTURE, self.live_metas.len())?,
            live_metas,
            count(STRUCTURE, self.blobs.len())?,
            blobs,
            used_keys,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        checks.iter().for_each(|table| table.encode(out));
        encode_certificates(out, self.certificates)?;
        out.extend_from_slice(&count(STRUCTURE, self.extension.len())?.to_be_bytes());
        out.extend_from_slice(self.extension);
        Ok(())
    }
}

/// Appends an area, and returns the CRC-32 of its bytes.
fn append(out: &mut Vec<u8>, crc32: Crc32, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
    let start = out.len();
    write(out);
    let (_, area) = out.split_at(start);
    crc32(area)
}

/// Compares the checksum of borrowed bytes with the one that their meta file states.
const fn same(structure: Structure, stored: Option<u32>, computed: u32) -> Result<(), FormatError> {
    match stored {
        Some(stored) if stored != computed => {
            Err(FormatError::ChecksumMismatch { structure, stored, computed })
        }
        _ => Ok(()),
    }
}
