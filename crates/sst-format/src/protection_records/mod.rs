//! The records of fixed length in the protection sections of all versions, and the trailer.

mod blob_record;
mod certificates;
mod live_meta;
mod trailer;

use crate::Structure;

pub use blob_record::BlobRecord;
pub use live_meta::LiveMeta;
pub use trailer::{CHECKSUM_FROM_END, TRAILER_LEN, Trailer};

pub use blob_record::BLOB_LEN;
pub(crate) use certificates::{CERTIFICATE_LEN, encode_certificates, validate_families};
pub(crate) use live_meta::LIVE_META_LEN;
pub(crate) use trailer::encode_trailer;

/// The last four bytes of a protected meta file.
pub const PROTECTION_MAGIC: [u8; 4] = *b"SSTP";

const STRUCTURE: Structure = Structure::ProtectionSection;
