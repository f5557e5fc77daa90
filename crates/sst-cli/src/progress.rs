//! Progress bars on standard error. Shown only on a terminal, without `--quiet` and `--json`.

use std::io::{self, IsTerminal, Read, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sst_format::monitor::Monitor;

/// Whether progress bars are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// Draw them.
    Shown,
    /// Draw none.
    Hidden,
}

impl ProgressMode {
    /// The mode for these flags.
    pub(crate) fn of(json: bool, quiet: bool) -> Self {
        Self::choose(json, quiet, stderr().is_terminal())
    }

    const fn choose(json: bool, quiet: bool, is_terminal: bool) -> Self {
        if is_terminal && !json && !quiet { Self::Shown } else { Self::Hidden }
    }

    fn bar(self, len: Option<u64>, template: &str, message: &'static str) -> ProgressLine {
        let target = match self {
            Self::Shown => ProgressDrawTarget::stderr(),
            Self::Hidden => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("█▉▊▋▌▍▎▏ ");
        let bar = ProgressBar::with_draw_target(len, target).with_style(style);
        bar.set_message(message);
        if self == Self::Shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        ProgressLine { bar }
    }

    /// A bar that counts bytes. It is a spinner if `len` is not known.
    pub(crate) fn bytes(self, len: Option<u64>, message: &'static str) -> ProgressLine {
        self.bar(
            len,
            match len {
                Some(_) => {
                    "{msg:>10} [{bar:32}] {bytes:>11} of {total_bytes} {bytes_per_sec}, {eta} left"
                }
                None => "{msg:>10} {spinner} {bytes:>11} {bytes_per_sec}",
            },
            message,
        )
    }

    /// A bar that counts entries.
    pub(crate) fn entries(self, len: u64, message: &'static str) -> ProgressLine {
        let template = "{msg:>10} [{bar:32}] {human_pos:>11} of {human_len} entries, {eta} left";
        self.bar(Some(len), template, message)
    }

    /// A bar that counts entries. It is a spinner with a counter if `len` is not known.
    pub(crate) fn entries_if_known(self, len: Option<u64>, message: &'static str) -> ProgressLine {
        match len {
            Some(len) => self.entries(len, message),
            None => self.bar(None, "{msg:>10} {spinner} {human_pos:>11} entries", message),
        }
    }
}

/// A progress bar. It disappears when it is dropped.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    /// Advances the bar.
    pub(crate) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    /// Sets the position of the bar.
    pub(crate) fn set(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// A monitor that sets the bar to the number of entries that an operation has processed.
    pub(crate) fn entries_monitor(&self) -> Monitor {
        let bar = self.bar.clone();
        Monitor::default().progress(move |progress| bar.set_position(progress.entries))
    }

    /// A monitor that sets the bar to the number of bytes that an operation has processed.
    pub(crate) fn bytes_monitor(&self) -> Monitor {
        let bar = self.bar.clone();
        Monitor::default().progress(move |progress| bar.set_position(progress.bytes))
    }

    /// A reader that advances the bar. The bar disappears when the reader is dropped.
    pub(crate) const fn into_reader<R: Read>(self, source: R) -> ProgressReader<R> {
        ProgressReader { progress: self, source }
    }
}

/// A reader that advances a bar.
#[derive(Debug)]
pub(crate) struct ProgressReader<R> {
    progress: ProgressLine,
    source: R,
}

impl<R: Read> Read for ProgressReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(out)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_need_a_terminal_without_quiet_or_json() {
        assert_eq!(ProgressMode::choose(false, false, true), ProgressMode::Shown);
        for (json, quiet, is_terminal) in
            [(true, false, true), (false, true, true), (false, false, false)]
        {
            let mode = ProgressMode::choose(json, quiet, is_terminal);
            assert_eq!(mode, ProgressMode::Hidden);
            assert!(mode.bytes(Some(1), "read").bar.is_hidden());
        }
    }

    #[test]
    fn templates_are_sound() {
        for (len, message) in [(Some(10), "read"), (None, "read")] {
            let progress = ProgressMode::Hidden.bytes(len, message);
            let mut out = Vec::new();
            progress.advance(2);
            let mut reader = progress.into_reader(&b"12345"[..]);
            reader.read_to_end(&mut out).unwrap();
            assert_eq!((out.len(), reader.progress.bar.position()), (5, 7));
        }
        ProgressMode::Hidden.entries(1, "write").advance(1);
        ProgressMode::Hidden.entries_if_known(None, "merge").advance(1);
        ProgressMode::Hidden.entries(3, "write").set(2);
    }
}
