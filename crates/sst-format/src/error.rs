//! Why bytes are not what they should be.

use core::fmt;

/// A structure of the format, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Structure {
    /// The 8 bytes before a block's payload, or before a blob's.
    BlockHeader,
    /// The ends of all blocks at the end of a table.
    OffsetTable,
    /// A block of keys with value references.
    KeyBlock,
    /// The last block of a table.
    IndexBlock,
    /// The reference to a value in a key block.
    ValueRef,
    /// A file that describes tables.
    MetaFile,
    /// The checksums behind a meta file.
    ProtectionSection,
    /// The commit point of a directory.
    Current,
    /// What a meta file of version 3 says without its areas.
    MetaHead,
    /// The filter of a table.
    Filter,
    /// The copies of a table's block headers.
    BlockHeaders,
    /// The blobs of a commit.
    BlobList,
    /// The live meta files of a commit.
    MetaList,
    /// Sequence numbers of files that are not to be read any more.
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

/// Why bytes could not be parsed, or values not be encoded: what is wrong and where, but not in
/// which file or block, which only the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The structure needs more bytes than there are.
    TooShort {
        /// What was parsed.
        structure: Structure,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The structure ends before the bytes do, or its parts don't add up to its length.
    WrongLen {
        /// What was parsed.
        structure: Structure,
        /// Bytes that its own numbers add up to.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The first byte of a block is not the kind it should be.
    WrongKind {
        /// What was expected.
        structure: Structure,
        /// The byte that was found.
        found: u8,
    },
    /// A table, block or run without an entry.
    Empty {
        /// What was parsed or encoded.
        structure: Structure,
    },
    /// An entry was asked for that is not there.
    NoSuchEntry {
        /// Its index.
        index: u64,
        /// How many entries there are.
        count: u64,
    },
    /// An entry does not lie within its block, or overlaps its neighbour.
    EntryOutOfBounds {
        /// Index of the entry.
        index: u32,
    },
    /// Entries, hashes or offsets are not in ascending order.
    OutOfOrder {
        /// What was parsed.
        structure: Structure,
        /// Index of the first element that comes too late.
        index: u32,
    },
    /// The lowest hash of a table is above its highest.
    EmptyHashRange {
        /// Its lowest hash.
        min_hash: u64,
        /// Its highest hash.
        max_hash: u64,
    },
    /// An entry type that the format does not define.
    UnknownEntryType {
        /// The type byte.
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
        /// Where it starts in the uncompressed payload.
        offset: u32,
        /// Its length in bytes.
        len: u16,
        /// Length of the payload in bytes.
        payload_len: u64,
    },
    /// A block claims to decompress to more bytes than LZ4 can make of it.
    ImpossibleRatio {
        /// Uncompressed length that its header states.
        uncompressed_len: u32,
        /// Stored length in bytes.
        stored_len: u64,
    },
    /// The first bytes of a meta file are not its magic number.
    WrongMagic {
        /// What was found.
        found: u32,
    },
    /// The protection section has a version that this crate does not know.
    UnknownVersion {
        /// What was found.
        found: u32,
    },
    /// A structure that carries its own checksum does not match it.
    ChecksumMismatch {
        /// What was parsed.
        structure: Structure,
        /// The checksum that is stored.
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
    /// Something is too large for the encoding.
    TooLarge {
        /// What was encoded.
        structure: Structure,
        /// The number that is too large.
        value: u64,
        /// The highest it could be.
        max: u64,
    },
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
                write!(f, "protection section has unknown version {found}")
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
