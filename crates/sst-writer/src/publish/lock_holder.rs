//! The holder of the lock of a directory.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The process that has a directory open for publishing, read from the text in the lock file.
///
/// The text tells people which process holds the lock. Only the lock itself has an effect: the
/// operating system releases it when the process ends, in whatever way. The text that a dead
/// process leaves locks nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// Its process id.
    pub process: u32,
    /// The name of its machine; `None` if it is not known.
    pub host: Option<String>,
    /// The time when it took the lock, in whole seconds.
    pub since: SystemTime,
}

impl LockHolder {
    /// This process, now, on the machine `host`.
    pub(crate) fn this_process(host: Option<String>) -> Self {
        Self { process: std::process::id(), host, since: SystemTime::now() }
    }

    /// Encodes the content of the lock file.
    pub(crate) fn to_text(&self) -> String {
        // A clock before 1970 is not set. People see that from a time of 0.
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // An unknown name is an empty one in the text.
        let host = self.host.as_deref().unwrap_or_default();
        format!("process {}\nhost {host}\nsince {since}\n", self.process)
    }

    /// Parses the content of the lock file; `None` if it is incomplete or in another form.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            process: field("process")?.parse().ok()?,
            host: field("host").map(|host| (!host.is_empty()).then(|| host.to_owned()))?,
            since: UNIX_EPOCH.checked_add(Duration::from_secs(field("since")?.parse().ok()?))?,
        })
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        match self.since.elapsed() {
            Ok(elapsed) => write!(f, " for {} s", elapsed.as_secs()),
            // The time is in the future because the clock was set back, so the duration is unknown.
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for host in [None, Some("a machine".to_owned())] {
            let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let holder = LockHolder { process: 7, host, since };
            assert_eq!(LockHolder::parse(holder.to_text().as_bytes()), Some(holder));
        }
        for other in [&b""[..], b"7", b"process x\nhost y\nsince 1\n", b"process 1\nhost y\nsince"]
        {
            assert_eq!(LockHolder::parse(other), None);
        }
    }
}
