//! The records of certificates.

use alloc::vec::Vec;

use super::STRUCTURE;
use crate::FormatError;
use crate::bytes::{count, field, u32_in};
use crate::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};

/// Length of the record of one certificate in bytes.
pub(crate) const CERTIFICATE_LEN: usize = 4 + CONTENT_DIGEST_LEN;

impl FamilyCertificate {
    pub(crate) const fn from_bytes(bytes: &[u8; CERTIFICATE_LEN]) -> Self {
        let content = ContentDigest::from_bytes(&field::<4, CONTENT_DIGEST_LEN, _>(bytes));
        Self { family: u32_in::<0, _>(bytes), content }
    }
}

/// Appends a count of certificates, and the certificates.
pub(crate) fn encode_certificates(
    out: &mut Vec<u8>,
    certificates: &[FamilyCertificate],
) -> Result<(), FormatError> {
    out.extend_from_slice(&count(STRUCTURE, certificates.len())?.to_be_bytes());
    for certificate in certificates {
        out.extend_from_slice(&certificate.family.to_be_bytes());
        out.extend_from_slice(&certificate.content.to_bytes());
    }
    Ok(())
}

/// Checks that each family is certified once, in ascending order.
pub(crate) fn validate_families(
    certificates: impl Iterator<Item = FamilyCertificate>,
) -> Result<(), FormatError> {
    let mut previous = None;
    for (index, certificate) in (0..).zip(certificates) {
        if previous >= Some(certificate.family) {
            return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
        }
        previous = Some(certificate.family);
    }
    Ok(())
}
