//! Compressed inputs, recognized by their first bytes and not by their names.
//!
//! gzip and zstd are decompressed as a stream. gzip may have several members, and zeros after the
//! last; zstd may have several frames and skippable frames. The standard tools define which files
//! are intact: a file that `gzip -t` or `zstd -t` refuses is a [`CompressionFault`].

mod fault;
mod gzip;
mod position;
mod signature;
mod zstd;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::InputError;
pub(crate) use fault::CompressionFault;
use gzip::GzipMembers;
use position::Positioned;
pub(crate) use signature::NotText;
use zstd::ZstdFrames;

/// Size of the buffers before and after the decompressor.
const BUFFER_LEN: usize = 1 << 18;
/// Length of the longest signature.
const SIGNATURE_LEN: usize = 16;

/// The compression of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Recognizes the compression by the first bytes. No text starts with these bytes.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Whether the name of a file promises compressed content: `entries.tsv.gz`.
pub(crate) fn is_named_compressed(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["gz", "zst"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The text of an input: decompressed if it starts like gzip or zstd, otherwise unchanged.
///
/// Fails if the text starts like another compression or encoding. With `named_compressed` (see
/// [`is_named_compressed`]), uncompressed content is an error too.
pub(crate) fn decompressed<'a>(
    source: impl Read + 'a,
    named_compressed: bool,
) -> Result<Box<dyn BufRead + 'a>, InputError> {
    let (start, source) = with_start(source)?;
    let compression = Compression::of(&start);
    if compression.is_none() && named_compressed && !start.is_empty() {
        return Err(CompressionFault::NotCompressed.into());
    }
    let source = Positioned::new(source);
    let (start, text): (_, Box<dyn BufRead + 'a>) = match compression {
        Some(Compression::Gzip) => boxed(with_start(GzipMembers::new(source))?),
        Some(Compression::Zstd) => boxed(with_start(ZstdFrames::new(source))?),
        None => (start, Box::new(source)),
    };
    signature::check_text(&start, compression.is_some())?;
    Ok(text)
}

fn boxed<'a>((start, text): (Vec<u8>, impl BufRead + 'a)) -> (Vec<u8>, Box<dyn BufRead + 'a>) {
    (start, Box::new(text))
}

/// Decompresses a slice that holds compressed data and nothing else.
#[cfg(feature = "parquet")]
pub(super) fn inflate(compression: Compression, bytes: &[u8]) -> Box<dyn Read + '_> {
    let source = Positioned::new(bytes);
    match compression {
        Compression::Gzip => Box::new(GzipMembers::new(source)),
        Compression::Zstd => Box::new(ZstdFrames::new(source)),
    }
}

/// Reads the first bytes of a source. Loops, since a pipe may deliver byte by byte.
fn with_start<R: Read>(mut source: R) -> io::Result<(Vec<u8>, impl BufRead + use<R>)> {
    let mut start = Vec::new();
    source.by_ref().take(SIGNATURE_LEN as u64).read_to_end(&mut start)?;
    let whole = io::Cursor::new(start.clone()).chain(source);
    Ok((start, BufReader::with_capacity(BUFFER_LEN, whole)))
}

#[cfg(test)]
mod tests;
