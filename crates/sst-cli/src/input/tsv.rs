//! Key, tab, value: one entry per line.
//!
//! The key ends at the first tab; the value is the rest of the line, further tabs included. Both follow the rules of
//! [`escape`](crate::escape), and a value of `\N` deletes its key; with `--no-escapes` every byte stands for itself.
//! Lines end in a line feed, with or without a carriage return before it. Empty lines are passed over.

use std::io::BufRead;

use super::lines::Lines;
use super::{EntryReader, InputEntry, InputError, LineError};
use crate::commands::load::args::InputArgs;
use crate::escape::{DELETED, unescape};

pub(super) struct TsvReader<R> {
    lines: Lines<R>,
    escapes: bool,
}

impl<R: BufRead> TsvReader<R> {
    pub(super) const fn new(source: R, options: &InputArgs) -> Self {
        Self { lines: Lines::new(source), escapes: !options.no_escapes }
    }
}

impl<R: BufRead> EntryReader for TsvReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        let Some((number, line)) = self.lines.next_filled()? else {
            return Ok(false);
        };
        entry.clear(number);
        parse(line, self.escapes, entry)
            .map_err(|cause| InputError::Line { line: number, cause })?;
        Ok(true)
    }
}

fn parse(line: &[u8], escapes: bool, entry: &mut InputEntry) -> Result<(), LineError> {
    let tab = line.iter().position(|&byte| byte == b'\t').ok_or(LineError::NoTab)?;
    let (key, value) = line.split_at_checked(tab).ok_or(LineError::NoTab)?;
    let value = value.get(1..).unwrap_or_default();
    if !escapes {
        entry.key.extend_from_slice(key);
        entry.value.extend_from_slice(value);
        return Ok(());
    }
    unescape(key, &mut entry.key)?;
    if value == DELETED.as_bytes() {
        entry.is_deletion = true;
        return Ok(());
    }
    Ok(unescape(value, &mut entry.value)?)
}
