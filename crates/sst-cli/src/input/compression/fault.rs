//! Errors of compressed inputs.

use std::io;

/// The reason why a compressed input cannot be read further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompressionFault {
    #[error(
        "its name says that it is compressed, and it starts like neither gzip nor zstd: \
         it is damaged, or has another name than it should"
    )]
    NotCompressed,
    #[error("damaged gzip data before byte {offset}")]
    Gzip {
        /// Compressed bytes read so far.
        offset: u64,
        /// The error of the decoder.
        #[source]
        cause: io::Error,
    },
    #[error("damaged zstd data before byte {offset}")]
    Zstd {
        /// Compressed bytes read so far.
        offset: u64,
        /// The damage.
        #[source]
        cause: ZstdCause,
    },
    #[error("bytes that are not {format} data follow the compressed data at byte {offset}")]
    Trailing {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Offset of the first of these bytes.
        offset: u64,
    },
}

/// The kind of damage of zstd data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZstdCause {
    #[error("the input ends within a frame")]
    CutShort,
    #[error("the content checksum is {computed:08x} and should be {stored:08x}")]
    Checksum { computed: u32, stored: u32 },
    #[error("a frame has {actual} bytes where its header says {stated}")]
    ContentSize { actual: u64, stated: u64 },
    #[error("the frame needs dictionary {0}, and dictionaries are not supported")]
    Dictionary(u64),
    #[error("the frame needs a window of {len} bytes: the highest is {max}")]
    Window { len: u64, max: u64 },
    #[error("a reserved bit of the frame header is set")]
    Reserved,
    #[error("{0}")]
    Decoder(String),
}

impl CompressionFault {
    /// The error of a [`Read`](io::Read) call; `From<io::Error>` of `InputError` unwraps it.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}
