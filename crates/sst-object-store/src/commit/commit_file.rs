//! A file of a commit.

use sst_format::file_name::FileName;
use sst_format::identity::TableIdentity;
use sst_format::protection::BlobRecord;

/// A file of a commit, with everything that its commit states about its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitFile {
    /// Its name.
    pub name: FileName,
    /// Its length in bytes.
    pub len: u64,
    /// Its content. Two files with equal names, lengths and identities have the same bytes.
    pub identity: FileIdentity,
}

/// The content of a file, by its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileIdentity {
    /// A table: its description covers the checksums of all blocks.
    Table(TableIdentity),
    /// A blob: its record has the checksum of its payload.
    Blob(BlobRecord),
    /// A meta file, by the checksum in its trailer.
    Meta {
        /// The checksum.
        checksum: u32,
    },
}
