//! The encoder of meta files of version 3.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::described_table::{DescribedTable, TableSummary};
use super::{
    CommitKind, ListedMeta, PROTECTION_VERSION_HEADED, STRUCTURE, TableChecks, headers_len,
};
use crate::bytes::{count, count_u64};
use crate::content_digest::FamilyCertificate;
use crate::meta_start::encode_start;
use crate::protection_records::{BlobRecord, PROTECTION_MAGIC, TRAILER_LEN, encode_certificates};
use crate::sst_meta::validate_hashes;
use crate::{Crc32, FormatError, SequenceNumber, Structure};

/// The parts of a meta file of version 3.
///
/// Its tables come with all bytes about them, or as a [`TableSummary`], which leaves out filters
/// and block headers.
#[derive(Clone, Copy, Debug)]
pub struct MetaFileV3<'a, T = DescribedTable<'a>> {
    /// The family (key space) of the tables; 0 if there is only one.
    pub family: u32,
    /// Tables of older meta files that this commit makes obsolete.
    pub obsolete: &'a [SequenceNumber],
    /// The tables described, oldest first, each once.
    pub tables: &'a [T],
    /// The kind of the commit.
    pub kind: CommitKind,
    /// Sequence number of the newest meta file of the commit. It is this file's own unless this
    /// file is a part.
    pub commit: SequenceNumber,
    /// Every live meta file as of this commit, in ascending order. Parts of this commit are among
    /// them, and this file comes last, with checksum 0. Empty in a part.
    pub live_metas: &'a [ListedMeta],
    /// Every blob file that the tables refer to, perhaps more, in the order that the extension
    /// states.
    pub blobs: &'a [BlobRecord],
    /// Certificates of the content of families, in ascending order of families; may be empty. Empty
    /// in a part.
    pub certificates: &'a [FamilyCertificate],
    /// [`Extension::encode`](super::Extension::encode), followed by
    /// [`blob_counts_field`](super::blob_counts_field), or one of the two, or nothing.
    pub extension: &'a [u8],
}

impl MetaFileV3<'_> {
    /// Encodes the meta file. Also returns the checksum in its trailer. All of it is in memory,
    /// next to its filters; [`MetaFileV3::frame`] leaves them where they are.
    ///
    /// # Errors
    ///
    /// As [`DescribedTable::summary`] and [`MetaFileV3::frame`].
    pub fn encode(&self, crc32: Crc32) -> Result<(Vec<u8>, u32), FormatError> {
        let tables = self.tables.iter().map(|table| table.summary(crc32));
        let tables: Vec<TableSummary> = tables.collect::<Result<_, _>>()?;
        let &MetaFileV3 { family, obsolete, kind, commit, live_metas, blobs, .. } = self;
        let &MetaFileV3 { certificates, extension, .. } = self;
        let parts = MetaFileV3 {
            family,
            obsolete,
            tables: tables.as_slice(),
            kind,
            commit,
            live_metas,
            blobs,
            certificates,
            extension,
        };
        let MetaFrame { start: mut out, version, end, .. } = parts.frame(crc32)?;
        self.tables.iter().for_each(|table| out.extend_from_slice(table.filter));
        out.extend_from_slice(&version);
        self.tables.iter().for_each(|table| table.headers.encode(&mut out));
        out.extend_from_slice(&end);
        let checksum = crc32(&out);
        out.extend_from_slice(&MetaFrame::trailer_end(checksum));
        Ok((out, checksum))
    }
}

/// A meta file, but for the bytes of filters and block headers. So it is written without having all
/// of it in memory.
///
/// The file consists of [`MetaFrame::start`], the filter of each table, [`MetaFrame::version`], the
/// block headers of each table, [`MetaFrame::end`], and [`MetaFrame::trailer_end`] of the CRC-32 of
/// all these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaFrame {
    /// The bytes before the filters.
    pub start: Vec<u8>,
    /// The bytes between the filters and the block headers.
    pub version: [u8; 4],
    /// The bytes behind the block headers, up to the checksum in the trailer.
    pub end: Vec<u8>,
    /// Length of the whole file in bytes.
    pub file_len: u64,
}

impl MetaFrame {
    /// The last bytes of the file: its checksum, which is the CRC-32 of all bytes before, and the
    /// magic number.
    #[must_use]
    pub const fn trailer_end(checksum: u32) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (checksum.to_be_bytes(), PROTECTION_MAGIC);
        [a, b, c, d, e, f, g, h]
    }
}

impl MetaFileV3<'_, TableSummary> {
    /// Encodes the meta file around its filters and block headers. The caller must put in those
    /// bytes to which the checksums in [`TableSummary`] belong.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if a count, the filters or the section exceed 32 bits:
    /// [`MetaLimits::split`](super::MetaLimits::split) divides the tables of a commit among several
    /// meta files. [`FormatError::EmptyHashRange`] if the lowest hash of a table is above its
    /// highest, [`FormatError::OutOfOrder`] if a table is described twice.
    pub fn frame(&self, crc32: Crc32) -> Result<MetaFrame, FormatError> {
        self.validate()?;
        let mut start = Vec::new();
        let records = self.tables.iter().map(|table| (table.record, table.filter_len));
        encode_start(&mut start, self.family, self.obsolete, records)?;
        let mut end = Vec::new();
        self.blobs.iter().for_each(|blob| blob.encode(&mut end));
        let blobs = crc32(&end);
        let metas_start = end.len();
        self.live_metas.iter().for_each(|meta| meta.encode(&mut end));
        let live_metas = crc32(end.split_at(metas_start).1);
        let core_start = end.len();
        self.encode_core(&mut end, [live_metas, blobs, crc32(&[])])?;
        let core_len = count(STRUCTURE, end.len() - core_start)?;
        for word in [count(STRUCTURE, start.len())?, crc32(&start), core_len] {
            end.extend_from_slice(&word.to_be_bytes());
        }
        let core_checksum = crc32(end.split_at(core_start).1);
        end.extend_from_slice(&core_checksum.to_be_bytes());
        let headers = self.tables.iter().map(|table| headers_len(table.record.block_count));
        let headers: u64 = headers.sum();
        let version = PROTECTION_VERSION_HEADED.to_be_bytes();
        let section_len = version.len() as u64 + headers + end.len() as u64;
        end.extend_from_slice(&count_u64(STRUCTURE, section_len)?.to_be_bytes());
        let filters: u64 = self.tables.iter().map(|table| table.filter_len).sum();
        let file_len = start.len() as u64 + filters + section_len + TRAILER_LEN as u64;
        Ok(MetaFrame { start, version, end, file_len })
    }

    /// Refuses tables that parsing would refuse, and a table that is described twice.
    fn validate(&self) -> Result<(), FormatError> {
        let mut described: BTreeSet<SequenceNumber> = BTreeSet::new();
        for (index, table) in (0..).zip(self.tables) {
            validate_hashes(table.record.min_hash, table.record.max_hash)?;
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
        for table in self.tables {
            let TableSummary { entry_count, filter_checksum, headers_checksum, .. } = *table;
            let (filter, headers) = (filter_checksum, headers_checksum);
            TableChecks { entry_count, filter, headers }.encode(out);
        }
        encode_certificates(out, self.certificates)?;
        out.extend_from_slice(&count(STRUCTURE, self.extension.len())?.to_be_bytes());
        out.extend_from_slice(self.extension);
        Ok(())
    }
}
