//! The encoder of protection sections of versions 1 and 2.

use alloc::vec::Vec;

use super::{PROTECTION_VERSION, PROTECTION_VERSION_CERTIFIED, STRUCTURE};
use crate::bytes::count;
use crate::content_digest::FamilyCertificate;
use crate::protection_records::{BlobRecord, LiveMeta, encode_certificates, encode_trailer};
use crate::{Crc32, FormatError, SstMeta};

/// Appends the section to `out`, which holds the rest of the meta file. Returns the checksum in its
/// trailer.
pub(crate) fn encode<'a>(
    out: &mut Vec<u8>,
    live_metas: &[LiveMeta],
    tables: impl Iterator<Item = &'a SstMeta>,
    blobs: &[BlobRecord],
    certificates: &[FamilyCertificate],
    crc32: Crc32,
) -> Result<u32, FormatError> {
    let start = out.len();
    let version = match certificates {
        [] => PROTECTION_VERSION,
        _ => PROTECTION_VERSION_CERTIFIED,
    };
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&count(STRUCTURE, live_metas.len())?.to_be_bytes());
    for meta in live_metas {
        out.extend_from_slice(&meta.sequence.0.to_be_bytes());
        out.extend_from_slice(&meta.checksum.to_be_bytes());
    }
    for table in tables {
        let (entry_count, headers) =
            table.protection.as_ref().map_or((0, &[][..]), |p| (p.entry_count, &*p.block_headers));
        if headers.len() != usize::from(table.block_count) {
            let (expected, found) = (u64::from(table.block_count), headers.len() as u64);
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        out.extend_from_slice(&entry_count.to_be_bytes());
        headers.iter().for_each(|header| header.encode(out));
    }
    out.extend_from_slice(&count(STRUCTURE, blobs.len())?.to_be_bytes());
    blobs.iter().for_each(|blob| blob.encode(out));
    if !certificates.is_empty() {
        encode_certificates(out, certificates)?;
    }
    encode_trailer(out, start, crc32)
}
