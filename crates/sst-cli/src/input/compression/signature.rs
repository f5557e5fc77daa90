//! Recognizes inputs that are not text by their first bytes.

use super::Compression;

/// The input is not text in UTF-8 or in another encoding that extends ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotText {
    #[error("compressed with {0}: only gzip and zstd are decompressed; decompress it first")]
    OtherCompression(&'static str),
    #[error("compressed twice: decompress it once first")]
    CompressedTwice,
    #[error("encoded in {0}: convert it to UTF-8 first, for example with iconv")]
    OtherEncoding(&'static str),
    #[error("a file of {0}, not text")]
    OtherFormat(&'static str),
}

/// Signatures of other compressions. A signature that text could start with must be longer.
const COMPRESSIONS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x9d", "compress"),
    (b"\x1f\xa0", "compress"),
    (b"\x1f\x1e", "pack"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"LZIP\x01", "lzip"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"\x5d\0\0", "lzma"),
    (b"\xff\x06\0\0sNaPpY", "snappy"),
    (b"Rar!\x1a\x07", "rar"),
];

/// Signatures of other file formats.
const FORMATS: &[(&[u8], &str)] = &[
    (b"ARROW1\0\0", "Arrow"),
    (b"Obj\x01", "Avro"),
    (b"PAR1\x15", "Parquet (add --format parquet)"),
    (b"SQLite format 3\0", "SQLite"),
];

/// Byte order marks of other encodings. A longer one stands before its own prefix.
const ENCODINGS: &[(&[u8], &str)] = &[
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];

/// Refuses a text that starts with the signature of another format.
///
/// zstd before version 0.8 counts as another compression, since its frames differ.
pub(super) fn check_text(start: &[u8], was_compressed: bool) -> Result<(), NotText> {
    let find = |table: &[(&[u8], &'static str)]| {
        table.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, name)| name)
    };
    if let [0x22..=0x27, 0xb5, 0x2f, 0xfd, ..] = start {
        return Err(NotText::OtherCompression("zstd before 0.8"));
    }
    if was_compressed && Compression::of(start).is_some() {
        return Err(NotText::CompressedTwice);
    }
    // bzip2: the block size, then the first six digits of pi, or for an empty file those of its
    // root.
    if let [b'B', b'Z', b'h', b'1'..=b'9', magic @ ..] = start
        // A key may start like this, but then text follows and not a checksum.
        && !is_text(start)
        && (magic.starts_with(b"1AY&SY") || magic.starts_with(b"\x17rE8P\x90"))
    {
        return Err(NotText::OtherCompression("bzip2"));
    }
    if let Some(name) = find(COMPRESSIONS) {
        return Err(NotText::OtherCompression(name));
    }
    if let Some(name) = find(FORMATS) {
        return Err(NotText::OtherFormat(name));
    }
    find(ENCODINGS).map_or(Ok(()), |name| Err(NotText::OtherEncoding(name)))
}

/// Whether the first bytes of an input could be text. The last character may be incomplete.
fn is_text(start: &[u8]) -> bool {
    let is_utf8 = str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !start.iter().any(|byte| byte.is_ascii_control() && !b"\t\n\r".contains(byte))
}
