//! Tab-separated key and value: one entry per line.
//!
//! The key ends at the first tab. The value is the rest of the line, further tabs included. Both
//! follow the rules of [`escape`](crate::escape), and a value of `\N` deletes its key. With
//! `--no-escapes` every byte stands for itself. Lines end in a line feed, with or without a
//! carriage return before it. Empty lines are skipped.
//!
//! A line is parsed while it is read, so that a long line takes no more memory than the limits of
//! its key and of a value in memory.

use std::io::BufRead;

use sst_format::limits::MAX_KEY_LEN;

use super::input_args::InputArgs;
use super::lines::Lines;
use super::{EntryReader, InputEntry, InputError, LineError, Step};
use crate::end_mark::{EndMark, MAX_MARK_LEN};
use crate::escape::{DELETED, Unescaper};

pub(super) struct TsvReader<R> {
    lines: Lines<R>,
    escapes: bool,
    max_value: usize,
}

impl<R: BufRead> TsvReader<R> {
    pub(super) const fn new(source: R, options: &InputArgs) -> Self {
        Self {
            lines: Lines::new(source),
            escapes: !options.no_escapes,
            max_value: options.max_value,
        }
    }
}

impl<R: BufRead> EntryReader for TsvReader<R> {
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError> {
        entry.clear(0);
        let mut line = TsvLine::new(entry, self.escapes, self.max_value);
        let number = self.lines.next_filled(|part| line.push(part))?;
        let Some(number) = number else { return Ok(Step::End) };
        let read = line.finish().map_err(|cause| InputError::at_line(number, cause))?;
        entry.line = number;
        Ok(read)
    }
}

/// The state of parsing a line part by part.
struct TsvLine<'a> {
    entry: &'a mut InputEntry,
    escapes: bool,
    max_value: usize,
    /// Whether the tab was found.
    has_tab: bool,
    unescaper: Unescaper,
    /// The first bytes of a line that starts with a backslash, since it may be an end mark.
    start: Vec<u8>,
    /// The first raw bytes of the value, as many as [`DELETED`] has.
    value_start: Vec<u8>,
    /// The first error in the line; the rest of the line is ignored.
    error: Option<LineError>,
}

impl<'a> TsvLine<'a> {
    fn new(entry: &'a mut InputEntry, escapes: bool, max_value: usize) -> Self {
        Self {
            entry,
            escapes,
            max_value,
            has_tab: false,
            unescaper: Unescaper::default(),
            start: Vec::new(),
            value_start: Vec::new(),
            error: None,
        }
    }

    fn push(&mut self, part: &[u8]) {
        let is_start = !self.has_tab && self.entry.key.is_empty() && self.error.is_none();
        if self.escapes && (is_start && part.starts_with(b"\\") || !self.start.is_empty()) {
            let room = (MAX_MARK_LEN - self.start.len().min(MAX_MARK_LEN)).min(part.len());
            self.start.extend_from_slice(part.get(..room).unwrap_or(part));
        }
        if self.error.is_none() {
            self.error = self.try_push(part).err();
        }
    }

    fn try_push(&mut self, part: &[u8]) -> Result<(), LineError> {
        if self.escapes && part.contains(&0) {
            return Err(LineError::ZeroByte);
        }
        if self.has_tab {
            return self.push_value(part);
        }
        let mut halves = part.splitn(2, |&byte| byte == b'\t');
        // `splitn` returns at least one part, even for an empty slice.
        self.push_key(halves.next().unwrap_or(part))?;
        let Some(value) = halves.next() else { return Ok(()) };
        if self.escapes {
            std::mem::take(&mut self.unescaper).finish()?;
        }
        self.has_tab = true;
        self.push_value(value)
    }

    fn push_key(&mut self, part: &[u8]) -> Result<(), LineError> {
        let key = &mut self.entry.key;
        let append = |bytes: &[u8]| {
            let appended = key.append(bytes, MAX_KEY_LEN);
            appended.map_err(LineError::of_key)
        };
        append_text(part, self.escapes, &mut self.unescaper, append)
    }

    fn push_value(&mut self, part: &[u8]) -> Result<(), LineError> {
        if !self.escapes || self.value_start.len() > DELETED.len() {
            return self.append_value(part);
        }
        // A value deletes only if it is exactly `\N`, so its start is held back until more bytes
        // come.
        let missing = (DELETED.len() - self.value_start.len()).min(part.len());
        // `missing` is at most the length of the part, so the split always succeeds.
        let (start, rest) = part.split_at_checked(missing).unwrap_or((part, &[]));
        self.value_start.extend_from_slice(start);
        if rest.is_empty() {
            return Ok(());
        }
        self.release_value_start()?;
        self.append_value(rest)
    }

    /// Appends the held start of a value that is longer than `\N`.
    fn release_value_start(&mut self) -> Result<(), LineError> {
        let start = std::mem::take(&mut self.value_start);
        // A length above that of `DELETED` marks that no more is held back in this line.
        self.value_start.resize(DELETED.len() + 1, 0);
        self.append_value(&start)
    }

    fn append_value(&mut self, part: &[u8]) -> Result<(), LineError> {
        let (value, max) = (&mut self.entry.value, self.max_value);
        let append = |bytes: &[u8]| value.append(bytes, max);
        append_text(part, self.escapes, &mut self.unescaper, append)
    }

    fn finish(mut self) -> Result<Step, LineError> {
        if !self.has_tab
            && let Some(mark) = EndMark::parse_text(&self.start)
        {
            return Ok(Step::Mark(mark));
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.has_tab {
            return Err(LineError::NoTab);
        }
        if self.value_start == DELETED.as_bytes() {
            self.entry.is_deletion = true;
            return Ok(Step::Entry);
        }
        if self.value_start.len() <= DELETED.len() {
            self.release_value_start()?;
        }
        self.unescaper.finish()?;
        Ok(Step::Entry)
    }
}

/// Appends a part of a key or value.
fn append_text(
    part: &[u8],
    escapes: bool,
    unescaper: &mut Unescaper,
    mut append: impl FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<(), LineError> {
    match escapes {
        true => unescaper.push(part, append),
        false => append(part),
    }
}
