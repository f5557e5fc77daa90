//! The keys of `sst get`: arguments, or lines of a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sst_format::limits::MAX_KEY_LEN;

use crate::error::CliError;
use crate::notation::Notation;
use crate::output::End;

/// Bytes of text for one byte of a key in the longest notation, an escape: `\x00`.
const MAX_TEXT_PER_BYTE: usize = 4;
/// The longest line, with its end.
const MAX_LINE_LEN: usize = MAX_KEY_LEN * MAX_TEXT_PER_BYTE + 2;
/// Bytes of keys after which a batch ends.
const BATCH_BYTES: usize = 16 << 20;
/// The mark that some editors write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Keys that are looked up together.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// All keys, one after the other.
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
}

impl Keys {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// The keys, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        // Ends ascend and are at most the length of the bytes, so every range is one of them.
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or(&[]))
    }
}

/// Reads keys in batches.
pub(super) trait KeySource {
    /// Reads up to `max` keys into `keys`, fewer if they are long. None at the end.
    fn next_batch(&mut self, max: usize, keys: &mut Keys) -> Result<(), CliError>;
}

/// Keys from the command line.
pub(super) struct Arguments<'a> {
    rest: std::slice::Iter<'a, String>,
    notation: Notation,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(keys: &'a [String], notation: Notation) -> Self {
        Self { rest: keys.iter(), notation }
    }
}

impl KeySource for Arguments<'_> {
    fn next_batch(&mut self, max: usize, keys: &mut Keys) -> Result<(), CliError> {
        keys.clear();
        for text in self.rest.by_ref().take(max) {
            let key = self.notation.decode(text.as_bytes());
            let key = key.map_err(|cause| CliError::Key { place: format!("`{text}`"), cause })?;
            keys.push(&key);
        }
        Ok(())
    }
}

/// Keys from a file or from standard input, one in each line. An empty line is the empty key.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    name: String,
    notation: Notation,
    end: End,
    /// Number of lines read.
    lines: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, notation: Notation, end: End) -> Result<Self, CliError> {
        let (source, name): (Box<dyn Read>, _) = match path.as_os_str() == "-" {
            true => (Box::new(io::stdin()), "standard input".to_owned()),
            false => {
                let file = File::open(path).map_err(|error| CliError::io("open", path, error))?;
                (Box::new(file), path.display().to_string())
            }
        };
        let source = Box::new(BufReader::with_capacity(1 << 18, source));
        Ok(Self { source, name, notation, end, lines: 0, line: Vec::new() })
    }

    /// Reads the next line without its end. `false` behind the last one.
    fn next_line(&mut self) -> Result<bool, CliError> {
        self.line.clear();
        let mut source = (&mut self.source).take(MAX_LINE_LEN as u64);
        let read = source.read_until(self.end.byte(), &mut self.line);
        let read = read.map_err(|source| CliError::Io {
            action: "read",
            what: self.name.clone(),
            source,
        })?;
        if read == 0 {
            return Ok(false);
        }
        self.lines += 1;
        if self.line.last() == Some(&self.end.byte()) {
            self.line.pop();
            if self.end == End::Line && self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        }
        if self.lines == 1 && self.end == End::Line && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(true)
    }
}

impl KeySource for Lines {
    fn next_batch(&mut self, max: usize, keys: &mut Keys) -> Result<(), CliError> {
        keys.clear();
        while keys.ends.len() < max && keys.bytes.len() < BATCH_BYTES && self.next_line()? {
            let place = || match self.end {
                End::Line => format!("{}: line {}", self.name, self.lines),
                End::Zero => format!("{}: key {}", self.name, self.lines),
            };
            let key = self.notation.decode(&self.line);
            let key = key.map_err(|cause| CliError::Key { place: place(), cause })?;
            if key.len() > MAX_KEY_LEN || self.line.len() == MAX_LINE_LEN {
                return Err(CliError::KeyTooLong { place: place() });
            }
            keys.push(&key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], notation: Notation, end: End, max: usize) -> Vec<Vec<u8>> {
        let source = Box::new(io::Cursor::new(text.to_vec()));
        let mut lines =
            Lines { source, name: "keys".to_owned(), notation, end, lines: 0, line: Vec::new() };
        let (mut keys, mut all) = (Keys::default(), Vec::new());
        loop {
            lines.next_batch(max, &mut keys).unwrap();
            if keys.ends.is_empty() {
                return all;
            }
            assert!(keys.ends.len() <= max);
            all.extend(keys.iter().map(<[u8]>::to_vec));
        }
    }

    #[test]
    fn lines_are_keys_however_they_end() {
        for max in [1, 2, 100] {
            let lines = |text: &[u8]| read(text, Notation::Raw, End::Line, max);
            assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
            assert_eq!(lines(b"a\nb\r\nc"), [b"a", b"b", b"c"]);
            assert_eq!(lines(b"\xef\xbb\xbfa\n\n"), [&b"a"[..], b""]);
            let zeros = read(b"a\nb\0\xef\xbb\xbf\r\0", Notation::Raw, End::Zero, max);
            assert_eq!(zeros, [&b"a\nb"[..], b"\xef\xbb\xbf\r"]);
            let escaped = read(br"a\\b\x00", Notation::Escaped, End::Line, max);
            assert_eq!(escaped, [b"a\\b\0"]);
        }
    }
}
