//! zstd (RFC 8878): any number of frames and skippable frames.
//!
//! `ruzstd` decodes the blocks of a frame. This file checks everything around the blocks: the frame
//! header, the window, the length of the content and its checksum.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::fault::{CompressionFault, ZstdCause};
use super::position::Positioned;
use crate::input::guard::guarded;

/// The largest window that is accepted: the limit of the `zstd` tool without `--memory`.
const MAX_WINDOW_LEN: u64 = 128 << 20;
/// The smallest window that a header can state.
const MIN_WINDOW_LEN: u64 = 1 << 10;
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The decompressed content of all frames.
pub(super) struct ZstdFrames<R> {
    source: Positioned<R>,
    frame: Option<Frame>,
    is_broken: bool,
}

/// A frame that is being decoded.
struct Frame {
    decoder: FrameDecoder,
    header: FrameHeader,
    /// Bytes returned to the reader so far.
    produced: u64,
}

/// The parts of a frame header that matter here.
struct FrameHeader {
    /// The header as stored, for the decoder: magic (4), descriptor (1), and at most 13 more bytes.
    bytes: Vec<u8>,
    content_len: Option<u64>,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) const fn new(source: Positioned<R>) -> Self {
        Self { source, frame: None, is_broken: false }
    }

    fn read_some(&mut self, out: &mut [u8]) -> Result<usize, ReadFault> {
        loop {
            let Some(frame) = &mut self.frame else {
                if !self.next_frame()? {
                    return Ok(0);
                }
                continue;
            };
            let len = frame.decoder.read(out)?;
            frame.produced += len as u64;
            if len > 0 || out.is_empty() {
                return Ok(len);
            }
            if frame.decoder.is_finished() {
                frame.check_end()?;
                self.frame = None;
                continue;
            }
            let (decoder, source) = (&mut frame.decoder, &mut self.source);
            let block = || decoder.decode_blocks(source, BlockDecodingStrategy::UptoBlocks(1));
            guarded(block).map_err(|panic| ZstdCause::Decoder(panic.to_string()))??;
        }
    }

    /// Reads the header of the next frame and skips skippable frames. `false` at the end of the
    /// input.
    fn next_frame(&mut self) -> Result<bool, ReadFault> {
        loop {
            let start = self.source.offset();
            let mut magic = Vec::new();
            self.source.by_ref().take(4).read_to_end(&mut magic)?;
            match *magic.as_slice() {
                [] => return Ok(false),
                [0x28, 0xb5, 0x2f, 0xfd] => break,
                [0x50..=0x5f, 0x2a, 0x4d, 0x18] => self.skip_frame()?,
                _ => {
                    return Err(CompressionFault::Trailing { format: "zstd", offset: start }.into());
                }
            }
        }
        let header = FrameHeader::read(&mut self.source)?;
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_LEN);
        decoder.reset(&*header.bytes)?;
        self.frame = Some(Frame { decoder, header, produced: 0 });
        Ok(true)
    }

    fn skip_frame(&mut self) -> Result<(), ReadFault> {
        let len = read_number(&mut self.source, 4, &mut Vec::new())?;
        let skipped = io::copy(&mut self.source.by_ref().take(len), &mut io::sink())?;
        if skipped == len { Ok(()) } else { Err(ZstdCause::CutShort.into()) }
    }
}

impl Frame {
    /// Compares the content with the header and the checksum. Called after all content was
    /// returned.
    fn check_end(&self) -> Result<(), ZstdCause> {
        if let Some(stated) = self.header.content_len
            && stated != self.produced
        {
            return Err(ZstdCause::ContentSize { actual: self.produced, stated });
        }
        let stored = self.decoder.get_checksum_from_data();
        if let (Some(stored), Some(computed)) = (stored, self.decoder.get_calculated_checksum())
            && stored != computed
        {
            return Err(ZstdCause::Checksum { computed, stored });
        }
        Ok(())
    }
}

impl FrameHeader {
    /// Reads a frame header after its magic.
    fn read(source: &mut impl Read) -> Result<Self, ReadFault> {
        let mut bytes = FRAME_MAGIC.to_vec();
        let descriptor = read_number(source, 1, &mut bytes)?;
        let is_single_segment = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err(ZstdCause::Reserved.into());
        }
        let window = match is_single_segment {
            true => None,
            false => Some(read_number(source, 1, &mut bytes)?),
        };
        let dictionary = match descriptor & 3 {
            0 => 0,
            flag => read_number(source, 1 << (flag - 1), &mut bytes)?,
        };
        let content_len = match (descriptor >> 6, is_single_segment) {
            (0, false) => None,
            (0, true) => Some(read_number(source, 1, &mut bytes)?),
            // A length of two bytes is stored minus 256.
            (1, _) => Some(read_number(source, 2, &mut bytes)? + 256),
            (flag, _) => Some(read_number(source, 1 << flag, &mut bytes)?),
        };
        // A single segment has no window descriptor; its content length, always stated, is its
        // window.
        let window_len = window.map(window_len).or(content_len).unwrap_or(MIN_WINDOW_LEN);
        if window_len > MAX_WINDOW_LEN {
            return Err(ZstdCause::Window { len: window_len, max: MAX_WINDOW_LEN }.into());
        }
        if dictionary != 0 {
            return Err(ZstdCause::Dictionary(dictionary).into());
        }
        Ok(Self { bytes, content_len })
    }
}

/// The window length that a window descriptor states (RFC 8878, 3.1.1.1.2).
const fn window_len(descriptor: u64) -> u64 {
    let base = MIN_WINDOW_LEN << (descriptor >> 3);
    base + base / 8 * (descriptor & 7)
}

/// Reads a little-endian number of 1 to 8 bytes. Also appends the bytes to `copy`.
fn read_number(source: &mut impl Read, len: usize, copy: &mut Vec<u8>) -> Result<u64, ReadFault> {
    let start = copy.len();
    source.take(len as u64).read_to_end(copy)?;
    let bytes = copy.get(start..).filter(|bytes| bytes.len() == len).ok_or(ZstdCause::CutShort)?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The reason why a read failed: the source, damaged data, or bytes after the last frame.
enum ReadFault {
    Io(io::Error),
    Cause(ZstdCause),
    Fault(CompressionFault),
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ZstdCause> for ReadFault {
    fn from(cause: ZstdCause) -> Self {
        Self::Cause(cause)
    }
}

impl From<CompressionFault> for ReadFault {
    fn from(fault: CompressionFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<FrameDecoderError> for ReadFault {
    fn from(error: FrameDecoderError) -> Self {
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return match error.kind() {
                    ErrorKind::UnexpectedEof => ZstdCause::CutShort.into(),
                    kind => Self::Io(io::Error::new(kind, error.to_string())),
                };
            }
            source = error.source();
        }
        ZstdCause::Decoder(error.to_string()).into()
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_broken {
            return Ok(0);
        }
        self.read_some(out).map_err(|fault| {
            self.is_broken = true;
            self.frame = None;
            let offset = self.source.offset();
            match fault {
                ReadFault::Io(error) => error,
                ReadFault::Cause(cause) => CompressionFault::Zstd { offset, cause }.into_io(),
                ReadFault::Fault(fault) => fault.into_io(),
            }
        })
    }
}
