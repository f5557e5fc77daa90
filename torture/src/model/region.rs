//! The part of a file that a byte belongs to.

use std::ops::Range;

use sst_format::block::BLOCK_HEADER_LEN;

use super::meta_bytes::MetaLayout;

/// The part of a file that a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The size word of a block header.
    SizeWord,
    /// The checksum of a block header.
    Checksum,
    /// The payload of a block.
    Payload,
    /// The offset table.
    Offsets,
    /// The descriptions of tables in a meta file.
    Meta,
    /// The filters in a meta file.
    Filter,
    /// The areas of a protection section of version 3: copied block headers, lists of blobs and of
    /// meta files.
    SectionAreas,
    /// The rest of a protection section: of version 3 the core, the tail and the trailer.
    Section,
    /// `CURRENT`.
    Current,
    /// The size word of a blob file.
    BlobSizeWord,
    /// The checksum of a blob file.
    BlobChecksum,
    /// The payload of a blob file.
    BlobPayload,
}

impl Region {
    /// All regions, in the order of the table of results.
    pub const ALL: [Self; 12] = [
        Self::SizeWord,
        Self::Checksum,
        Self::Payload,
        Self::Offsets,
        Self::Meta,
        Self::Filter,
        Self::SectionAreas,
        Self::Section,
        Self::Current,
        Self::BlobSizeWord,
        Self::BlobChecksum,
        Self::BlobPayload,
    ];

    /// The region's name in the table of results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SizeWord => "block header, size",
            Self::Checksum => "block header, checksum",
            Self::Payload => "block payload",
            Self::Offsets => "offset table",
            Self::Meta => "meta file",
            Self::Filter => "filter",
            Self::SectionAreas => "protection section, areas of version 3",
            Self::Section => "protection section, core, tail and trailer",
            Self::Current => "CURRENT",
            Self::BlobSizeWord => "blob header, size",
            Self::BlobChecksum => "blob header, checksum",
            Self::BlobPayload => "blob payload",
        }
    }

    /// The region of byte `at` of the file `name`. `blocks` are the ranges of a table's blocks.
    #[must_use]
    pub fn of(name: &str, blocks: &[Range<usize>], at: usize) -> Self {
        match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
            "blob" => match at {
                0..4 => Self::BlobSizeWord,
                4..8 => Self::BlobChecksum,
                _ => Self::BlobPayload,
            },
            "sst" => {
                let block = blocks.partition_point(|block| block.end <= at);
                match blocks.get(block) {
                    None => Self::Offsets,
                    Some(block) => match at - block.start {
                        0..4 => Self::SizeWord,
                        4..BLOCK_HEADER_LEN => Self::Checksum,
                        _ => Self::Payload,
                    },
                }
            }
            _ => Self::Current,
        }
    }

    /// The region of byte `at` of a meta file.
    #[must_use]
    pub fn of_meta(layout: &MetaLayout, at: usize) -> Self {
        match at {
            _ if at < layout.filters.start => Self::Meta,
            _ if at < layout.filters.end => Self::Filter,
            _ if at < layout.core => Self::SectionAreas,
            _ => Self::Section,
        }
    }
}
