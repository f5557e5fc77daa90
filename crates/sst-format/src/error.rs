//! Errors of parsing and of encoding.

use core::fmt;

use crate::SequenceNumber;

/// A structure of the format, named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Structure {
    /// The 8 bytes before a block's payload, or before a blob's.
    BlockHeader,
    /// The end offsets of all blocks, the last bytes of a table.
    OffsetTable,
    /// A block of keys with value references.
    KeyBlock,
    /// The last block of a table.
    IndexBlock,
    /// The reference to a value in a key block.
    ValueRef,
    /// A file that describes the tables of a commit.
    MetaFile,
    /// The checksums at the end of a meta file.
    ProtectionSection,
    /// The commit point of a directory.
    Current,
    /// The head of a meta file of version 3: everything but its areas.
    MetaHead,
    /// The filter of a table.
    Filter,
    /// The copies of a table's block headers.
    BlockHeaders,
    /// The blobs of a commit.
    BlobList,
    /// The live meta files of a commit.
    MetaList,
    /// A file with the sequence numbers of obsolete files.
    DelFile,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlockHeader => "block header",
            Self::OffsetTable => "offset table",
            Self::KeyBlock => "key block",
            Self::IndexBlock => "index block",
            Self::ValueRef => "value reference",
            Self::MetaFile => "meta file",
            Self::ProtectionSection => "protection section",
            Self::Current => "CURRENT",
            Self::MetaHead => "head of a meta file",
            Self::Filter => "filter",
            Self::BlockHeaders => "copy of block headers",
            Self::BlobList => "list of blobs",
            Self::MetaList => "list of meta files",
            Self::DelFile => ".del file",
        })
    }
}

/// An error of parsing or encoding.
///
/// It says what is wrong and at which position. The caller adds the file and the block, which this
/// crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The structure needs more bytes than there are.
    TooShort {
        /// The structure that was parsed.
        structure: Structure,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The structure ends before the bytes do, or its parts don't add up to its length.
    WrongLen {
        /// The structure that was parsed.
        structure: Structure,
        /// Bytes that its own numbers add up to.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The first byte of a block does not name the expected kind.
    WrongKind {
        /// The expected structure.
        structure: Structure,
        /// The byte that was found.
        found: u8,
    },
    /// A table, block or run has no entry.
    Empty {
        /// The structure that was parsed or encoded.
        structure: Structure,
    },
    /// The index of a requested entry is not below the number of entries.
    NoSuchEntry {
        /// The index.
        index: u64,
        /// Number of entries.
        count: u64,
    },
    /// An entry does not lie within its block, or overlaps its neighbour.
    EntryOutOfBounds {
        /// Index of the entry.
        index: u32,
    },
    /// Entries, hashes or offsets are not in ascending order.
    OutOfOrder {
        /// The structure that was parsed.
        structure: Structure,
        /// Index of the first element that is out of order.
        index: u32,
    },
    /// The lowest hash of a table is above its highest.
    EmptyHashRange {
        /// Its lowest hash.
        min_hash: u64,
        /// Its highest hash.
        max_hash: u64,
    },
    /// A meta file describes a table or a blob whose number is not below its own.
    NotOlder {
        /// The number of the table or the blob.
        number: u32,
        /// That of the meta file.
        own: SequenceNumber,
    },
    /// A meta file that is a part of a commit lists live meta files, has certificates, or is newer
    /// than the commit.
    WrongPart {
        /// The newest meta file of the commit.
        commit: SequenceNumber,
    },
    /// A list of live meta files does not end with the meta file that holds it.
    NotListedLast {
        /// That meta file.
        own: SequenceNumber,
    },
    /// A type byte that the format does not define.
    UnknownEntryType {
        /// The byte.
        found: u8,
    },
    /// A block index that is not below the number of blocks.
    NoSuchBlock {
        /// The index.
        block: u16,
        /// Number of blocks of the table.
        block_count: u16,
    },
    /// A small value does not lie within its value block.
    ValueOutOfBounds {
        /// Byte of the uncompressed payload at which it starts.
        offset: u32,
        /// Its length in bytes.
        len: u16,
        /// Length of the payload in bytes.
        payload_len: u64,
    },
    /// A block header states an uncompressed length that LZ4 cannot reach from the stored length.
    ImpossibleRatio {
        /// The stated uncompressed length in bytes.
        uncompressed_len: u32,
        /// Stored length in bytes.
        stored_len: u64,
    },
    /// A meta file does not start with the magic number.
    WrongMagic {
        /// The first four bytes.
        found: u32,
    },
    /// A protection section has a version that this crate does not know.
    UnknownVersion {
        /// The version.
        found: u32,
    },
    /// The checksum of a structure does not match its bytes.
    ChecksumMismatch {
        /// The structure that was parsed.
        structure: Structure,
        /// The stored checksum.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// `CURRENT` has a length that no known revision of this format writes.
    UnknownRevision {
        /// Length of the file in bytes.
        len: u64,
        /// Whether its content looks like the JSON of later releases.
        looks_like_json: bool,
    },
    /// A number is too large for its field.
    TooLarge {
        /// The structure that was encoded.
        structure: Structure,
        /// The number that is too large.
        value: u64,
        /// The highest number that fits.
        max: u64,
    },
}

impl FormatError {
    /// Whether a later build wrote the bytes, so that nothing is said about damage. The checksum
    /// over the version was right.
    #[must_use]
    pub const fn is_unknown_version(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. })
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { structure, needed, available } => {
                write!(f, "{structure} is cut short: needs {needed} bytes, has {available}")
            }
            Self::WrongLen { structure, expected, found } => {
                write!(f, "{structure} has {found} bytes where its fields add up to {expected}")
            }
            Self::WrongKind { structure, found } => {
                write!(f, "not a {structure}: its first byte is {found}")
            }
            Self::Empty { structure } => write!(f, "{structure} has no entries"),
            Self::NoSuchEntry { index, count } => write!(f, "no entry {index} among {count}"),
            Self::EntryOutOfBounds { index } => {
                write!(f, "entry {index} does not lie within its block")
            }
            Self::OutOfOrder { structure, index } => {
                write!(f, "{structure} is out of order at element {index}")
            }
            Self::EmptyHashRange { min_hash, max_hash } => {
                write!(
                    f,
                    "the lowest hash of a table, {min_hash:016x}, is above its highest, {max_hash:016x}"
                )
            }
            Self::NotOlder { number, own } => {
                write!(f, "describes file {number}, which is not older than meta file {own} itself")
            }
            Self::WrongPart { commit } => write!(
                f,
                "states that it is a part of commit {commit}, which is older, or lists what only a whole commit lists"
            ),
            Self::NotListedLast { own } => {
                write!(f, "list of live meta files does not end with {own}, the file itself")
            }
            Self::UnknownEntryType { found } => write!(f, "unknown entry type {found}"),
            Self::NoSuchBlock { block, block_count } => {
                write!(f, "refers to block {block} of a table of {block_count} blocks")
            }
            Self::ValueOutOfBounds { offset, len, payload_len } => write!(
                f,
                "value of {len} bytes at {offset} does not lie within its block of {payload_len} bytes"
            ),
            Self::ImpossibleRatio { uncompressed_len, stored_len } => write!(
                f,
                "{stored_len} stored bytes cannot decompress to the stated {uncompressed_len}"
            ),
            Self::WrongMagic { found } => {
                write!(f, "not a meta file: it starts with {found:08x} instead of fe4ada4a")
            }
            Self::UnknownVersion { found } => {
                write!(f, "protection section has version {found}, which this build does not know")
            }
            Self::ChecksumMismatch { structure, stored, computed } => write!(
                f,
                "{structure} is damaged: its checksum is {computed:08x}, stored is {stored:08x}"
            ),
            Self::UnknownRevision { len, looks_like_json: true } => write!(
                f,
                "CURRENT has {len} bytes of JSON: the directory was written by a later revision of the format"
            ),
            Self::UnknownRevision { len, looks_like_json: false } => write!(
                f,
                "CURRENT has {len} bytes where 4 or 8 are expected: it is damaged or of another revision of the format"
            ),
            Self::TooLarge { structure, value, max } => {
                write!(f, "{value} is too large for a {structure}: the highest is {max}")
            }
        }
    }
}

impl core::error::Error for FormatError {}
