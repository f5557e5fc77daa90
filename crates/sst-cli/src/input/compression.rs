//! Compressed inputs, known by how they start and not by their names.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// How a gzip file starts.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How a zstd frame starts.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Decompressed bytes are handed on in pieces of up to this many.
const BUFFER_LEN: usize = 1 << 18;

/// Whether an input starts as one that is compressed.
#[cfg(feature = "parquet")]
pub(super) fn is_compressed(start: &[u8]) -> bool {
    start.starts_with(GZIP) || start.starts_with(ZSTD)
}

/// What an input says once it is decompressed, if it is compressed with gzip or zstd. Nothing of a text starts like that.
pub(crate) fn decompressed<'a>(source: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut source = BufReader::with_capacity(BUFFER_LEN, source);
    // A pipe may come byte by byte: the first ones are read until they tell.
    let mut start = Vec::new();
    source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut start)?;
    let is_gzip = start.starts_with(GZIP);
    let is_zstd = start.starts_with(ZSTD);
    let source = BufReader::with_capacity(BUFFER_LEN, io::Cursor::new(start).chain(source));
    Ok(match (is_gzip, is_zstd) {
        (true, _) => buffered(MultiGzDecoder::new(source)),
        (_, true) => buffered(ZstdFrames { frame: None, source: Some(source) }),
        _ => Box::new(source),
    })
}

fn buffered<'a>(source: impl Read + 'a) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(BUFFER_LEN, source))
}

/// One zstd frame after the other, as `cat a.zst b.zst` makes them.
struct ZstdFrames<R: BufRead> {
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
    source: Option<R>,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let len = frame.read(out)?;
                if len > 0 || out.is_empty() {
                    return Ok(len);
                }
                self.source = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                self.source = Some(source);
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(source).map_err(io::Error::other)?);
        }
    }
}
