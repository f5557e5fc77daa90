//! The bytes of a report, which a task sends to its driver. All numbers are big-endian.
//!
//! ```text
//! size  field
//!    8  "SSTTASK1"
//!    8  owner of the claims
//!    4  family
//!    4  number of claims, then 4 bytes for each: the first number of its block
//!    4  number of blobs, then 20 bytes for each: number u32, file size u64, block header
//!    1  whether a content digest follows, then its 48 bytes
//!    4  number of tables, then for each of them
//!       4  its sequence number
//!       4  number of its blobs, then 4 bytes for each: the number of the blob
//!       8  length of its description, then that: a meta file of this one table without a commit,
//!          as `NAME.sst.meta` (FORMAT.md section 9)
//!    4  CRC-32 of all bytes before
//! ```
//!
//! The number of a table is outside of its description: that of a single table has none.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use self_cell::self_cell;
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest};
use sst_format::filter::FilterBytes;
use sst_format::meta_file::{MetaFile, ProtectedParts};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta, TableProtection};

use super::task_report::{TaskReport, TaskTable};
use crate::PublishError;
use crate::publish::publish_error::TaskReportDefect;
use crate::table::description::encode_description;

const MAGIC: &[u8; 8] = b"SSTTASK1";

impl TaskReport {
    /// The bytes of the report, about as long as the filters of its tables. What
    /// [`TaskTable::digest`] and [`TaskReport::blob_digest`] say is not part of them.
    ///
    /// # Errors
    ///
    /// [`PublishError::TaskReport`] if a table is not described as a finished one is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PublishError> {
        let mut out = MAGIC.to_vec();
        out.extend(self.owner.to_be_bytes());
        out.extend(self.family.to_be_bytes());
        push_all(&mut out, &self.claims, |out, claim| out.extend(claim.to_be_bytes()))?;
        push_all(&mut out, &self.blobs, |out, blob| {
            out.extend(blob.number.0.to_be_bytes());
            out.extend(blob.file_size.to_be_bytes());
            out.extend(blob.header.to_bytes());
        })?;
        match &self.content {
            None => out.push(0),
            Some(content) => {
                out.push(1);
                out.extend(content.to_bytes());
            }
        }
        push_len(&mut out, self.tables.len())?;
        for table in &self.tables {
            out.extend(table.sequence.0.to_be_bytes());
            push_all(&mut out, &table.blobs, |out, blob| out.extend(blob.0.to_be_bytes()))?;
            let description = encode_description(&table.meta).map_err(TaskReportDefect::Table)?;
            out.extend((description.len() as u64).to_be_bytes());
            out.extend(description);
        }
        let checksum = crc32fast::hash(&out);
        out.extend(checksum.to_be_bytes());
        Ok(out)
    }

    /// Parses the bytes of a report, and keeps a copy of them for its filters. O(length).
    ///
    /// # Errors
    ///
    /// [`PublishError::TaskReport`] if they are not what [`TaskReport::to_bytes`] makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublishError> {
        Self::from_owner(bytes.to_vec())
    }

    /// Parses the bytes of a report, and keeps them for its filters, as long as one of its tables
    /// is kept. `report` must always return the same bytes. O(length); of memory it takes no more
    /// than the headers of the blocks.
    ///
    /// # Errors
    ///
    /// As [`TaskReport::from_bytes`].
    pub fn from_owner(
        report: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, PublishError> {
        let report: ReportBytes = Arc::new(report);
        let bytes = (*report).as_ref();
        let (content, stored) = bytes.split_last_chunk().ok_or(TaskReportDefect::Len)?;
        if content.first_chunk() != Some(MAGIC) {
            return Err(TaskReportDefect::Magic.into());
        }
        let (stored, computed) = (u32::from_be_bytes(*stored), crc32fast::hash(content));
        if stored != computed {
            return Err(TaskReportDefect::Checksum { stored, computed }.into());
        }
        let mut rest = Rest { bytes: content, start: 0 };
        rest.bytes(MAGIC.len())?;
        let (owner, family) = (u64::from_be_bytes(rest.array()?), rest.u32()?);
        let claims = rest.all(Rest::u32)?;
        let blobs = rest.all(Rest::blob)?;
        let content = match rest.array::<1>()? {
            [0] => None,
            [1] => Some(ContentDigest::from_bytes(&rest.array::<CONTENT_DIGEST_LEN>()?)),
            _ => return Err(TaskReportDefect::Len.into()),
        };
        let tables = rest.all(|rest| rest.table(&report))?;
        if !rest.bytes.is_empty() {
            return Err(TaskReportDefect::Len.into());
        }
        let blob_digests = BTreeMap::new();
        Ok(Self { owner, family, claims, tables, blobs, content, blob_digests })
    }
}

fn push_len(out: &mut Vec<u8>, len: usize) -> Result<(), TaskReportDefect> {
    let len = u32::try_from(len).map_err(|_| TaskReportDefect::Len)?;
    out.extend(len.to_be_bytes());
    Ok(())
}

fn push_all<T>(
    out: &mut Vec<u8>,
    items: &[T],
    push: impl Fn(&mut Vec<u8>, &T),
) -> Result<(), TaskReportDefect> {
    push_len(out, items.len())?;
    items.iter().for_each(|item| push(out, item));
    Ok(())
}

/// The bytes of a report.
type ReportBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

type Bytes<'a> = &'a [u8];

self_cell!(
    /// A part of a report, which it keeps.
    struct Part {
        owner: ReportBytes,
        #[covariant]
        dependent: Bytes,
    }
);

impl Part {
    fn of(report: &ReportBytes, range: Range<usize>) -> Result<Self, TaskReportDefect> {
        Self::try_new(Arc::clone(report), |report| {
            (**report).as_ref().get(range).ok_or(TaskReportDefect::Len)
        })
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.borrow_dependent()
    }
}

/// The bytes that are still to be parsed.
struct Rest<'a> {
    bytes: &'a [u8],
    /// Where they start in the report.
    start: usize,
}

impl<'a> Rest<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], TaskReportDefect> {
        let (bytes, rest) = self.bytes.split_at_checked(len).ok_or(TaskReportDefect::Len)?;
        *self = Self { bytes: rest, start: self.start + len };
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TaskReportDefect> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(TaskReportDefect::Len)?;
        *self = Self { bytes: rest, start: self.start + N };
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, TaskReportDefect> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A list after its length. A list that is longer than the bytes ends with an error, before any
    /// memory is allocated for it.
    fn all<T>(
        &mut self,
        one: impl Fn(&mut Self) -> Result<T, TaskReportDefect>,
    ) -> Result<Vec<T>, TaskReportDefect> {
        let len = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(one(self)?);
        }
        Ok(items)
    }

    fn blob(&mut self) -> Result<BlobRecord, TaskReportDefect> {
        let number = BlobNumber(self.u32()?);
        let file_size = u64::from_be_bytes(self.array()?);
        let header = BlockHeader::from_bytes(self.array::<BLOCK_HEADER_LEN>()?);
        Ok(BlobRecord { number, file_size, header })
    }

    fn table(&mut self, report: &ReportBytes) -> Result<TaskTable, TaskReportDefect> {
        let sequence = SequenceNumber(self.u32()?);
        let blobs = self.all(|rest| rest.u32().map(BlobNumber))?;
        let len = u64::from_be_bytes(self.array()?);
        let len = usize::try_from(len).map_err(|_| TaskReportDefect::Len)?;
        let start = self.start;
        let meta = description(self.bytes(len)?, start, report)?;
        Ok(TaskTable { sequence, meta, blobs, digest: None })
    }
}

/// The description of the only table of a meta file, which starts at byte `start` of the report.
fn description(
    bytes: &[u8],
    start: usize,
    report: &ReportBytes,
) -> Result<SstMeta, TaskReportDefect> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).map_err(TaskReportDefect::Table)?;
    let tables = meta.described().map_err(TaskReportDefect::Table)?;
    let [table] = tables.as_slice() else { return Err(TaskReportDefect::Len) };
    let filter = Part::of(report, start + table.filter.start..start + table.filter.end)?;
    let protection = match &table.protection {
        None => None,
        Some(ProtectedParts { entry_count, block_headers }) => {
            let headers = bytes.get(block_headers.clone()).ok_or(TaskReportDefect::Len)?;
            Some(TableProtection::from_stored(*entry_count, headers))
        }
    };
    let meta = table.record.description(FilterBytes::new(filter), protection);
    meta.validate().map_err(TaskReportDefect::Table)?;
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::write_static_sorted_file;
    use crate::{Finished, WriterOptions};

    fn report() -> TaskReport {
        let directory = tempfile::tempdir().unwrap();
        let mut report = TaskReport::new(0x0123_4567_89ab_cdef, 7);
        report.claims = vec![64, 128];
        let header = BlockHeader::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        report.blobs = vec![BlobRecord { number: BlobNumber(70), file_size: 1 << 33, header }];
        report.content = Some(ContentDigest::from_bytes(&[7; CONTENT_DIGEST_LEN]));
        for number in [64, 65] {
            let path = directory.path().join(format!("{number}.sst"));
            let rows = [("key", format!("value {number}"))];
            let Finished { meta, .. } =
                write_static_sorted_file(&rows, path, WriterOptions::default()).unwrap();
            let blobs = vec![BlobNumber(70); usize::from(number == 65)];
            report.tables.push(TaskTable::new(SequenceNumber(number), meta, blobs));
        }
        report
    }

    #[test]
    fn a_report_survives_its_bytes() {
        let report = report();
        let parsed = TaskReport::from_bytes(&report.to_bytes().unwrap()).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{report:?}"));
        assert_eq!(parsed.job(), crate::publish::JobId(0x0123_4567));
    }

    #[test]
    fn filters_stay_in_the_bytes_of_a_report() {
        let mut report = report();
        for table in &mut report.tables {
            table.meta.filter = FilterBytes::new(vec![7; 100]);
        }
        let bytes: Arc<[u8]> = report.to_bytes().unwrap().into();
        let parsed = TaskReport::from_owner(Arc::clone(&bytes)).unwrap();
        assert_eq!(parsed.tables.len(), 2);
        for table in &parsed.tables {
            let filter = table.meta.filter.as_slice().as_ptr_range();
            assert!(!filter.is_empty());
            let all = bytes.as_ptr_range();
            assert!(all.start <= filter.start && filter.end <= all.end);
        }
        drop(parsed);
        assert_eq!(Arc::strong_count(&bytes), 1);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = report().to_bytes().unwrap();
        for len in 0..bytes.len() {
            let short = TaskReport::from_bytes(&bytes[..len]);
            assert!(matches!(short, Err(PublishError::TaskReport(_))), "{len}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let damaged = TaskReport::from_bytes(&damaged);
            assert!(matches!(damaged, Err(PublishError::TaskReport(_))), "{at}");
        }
        // With a right checksum: nothing but an error, or a report that says something else.
        let len = bytes.len() - 4;
        for at in 0..len {
            let mut hostile = bytes[..len].to_vec();
            hostile[at] ^= 0xff;
            hostile.extend(crc32fast::hash(&hostile).to_be_bytes());
            if let Ok(parsed) = TaskReport::from_bytes(&hostile) {
                assert_eq!(parsed.to_bytes().unwrap(), hostile, "{at}");
            }
        }
    }
}
