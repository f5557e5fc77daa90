//! gzip (RFC 1952): any number of members, as `cat a.gz b.gz` produces.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::fault::CompressionFault;
use super::position::Positioned;

/// The content of all members. Zeros after the last member are padding, as for the `gzip` tool.
pub(super) struct GzipMembers<R> {
    state: GzipState<R>,
}

enum GzipState<R> {
    Between(Positioned<R>),
    Member(Box<GzDecoder<Positioned<R>>>),
    End,
}

impl<R: BufRead> GzipMembers<R> {
    pub(super) const fn new(source: Positioned<R>) -> Self {
        Self { state: GzipState::Between(source) }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, GzipState::End) {
                GzipState::End => return Ok(0),
                GzipState::Between(mut source) => {
                    if !is_at_member(&mut source)? {
                        return Ok(0);
                    }
                    self.state = GzipState::Member(Box::new(GzDecoder::new(source)));
                }
                GzipState::Member(mut member) => match member.read(out) {
                    Ok(0) if !out.is_empty() => {
                        self.state = GzipState::Between(member.into_inner());
                    }
                    Ok(len) => {
                        self.state = GzipState::Member(member);
                        return Ok(len);
                    }
                    // The state stays `End`: damage ends the input.
                    Err(cause) => {
                        let offset = member.get_ref().offset();
                        return Err(CompressionFault::Gzip { offset, cause }.into_io());
                    }
                },
            }
        }
    }
}

/// Whether another member starts here. `false` at the end of the input, which zeros may precede.
fn is_at_member<R: BufRead>(source: &mut Positioned<R>) -> io::Result<bool> {
    let start = source.offset();
    loop {
        let buffer = source.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let (first, len) = (buffer.get(zeros).copied(), buffer.len());
        let is_padded = zeros > 0 || source.offset() > start;
        match first {
            None if len == 0 => return Ok(false),
            None => source.consume(len),
            Some(0x1f) if !is_padded => return Ok(true),
            Some(_) => {
                let offset = source.offset() + zeros as u64;
                return Err(CompressionFault::Trailing { format: "gzip", offset }.into_io());
            }
        }
    }
}
