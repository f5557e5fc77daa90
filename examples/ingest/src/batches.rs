//! Batches of lines, separated by empty lines.

use std::io::{self, BufRead};

/// Splits an input into batches at its empty lines.
pub(crate) struct Batches<R> {
    input: R,
}

impl<R: BufRead> Batches<R> {
    pub(crate) const fn new(input: R) -> Self {
        Self { input }
    }

    /// The lines up to the next empty line; `None` at the end of the input. Consecutive empty lines
    /// count as one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut batch = Vec::new();
        loop {
            let start = batch.len();
            let is_end = self.input.read_until(b'\n', &mut batch)? == 0;
            let is_empty = matches!(batch.get(start..), Some(b"\n" | b"\r\n"));
            if is_empty {
                batch.truncate(start);
            }
            match (is_end, is_empty, batch.is_empty()) {
                (true, _, true) => return Ok(None),
                (true, _, false) | (_, true, false) => return Ok(Some(batch)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_part_batches() {
        for (input, expected) in [
            ("", &[][..]),
            ("\n\n", &[]),
            ("a\nb\n\nc\n", &["a\nb\n", "c\n"]),
            ("\r\na\r\n\r\n\r\nb", &["a\r\n", "b"]),
        ] {
            let mut batches = Batches::new(input.as_bytes());
            let mut found = Vec::new();
            while let Some(batch) = batches.next().unwrap() {
                found.push(String::from_utf8(batch).unwrap());
            }
            assert_eq!(found, expected, "{input:?}");
        }
    }
}
