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
    /// The name of its machine; empty if it is not known.
    pub host: String,
    /// The time when it took the lock, in whole seconds.
    pub since: SystemTime,
}

impl LockHolder {
    /// This process, now.
    pub(crate) fn this_process() -> Self {
        Self { process: std::process::id(), host: host(), since: SystemTime::now() }
    }

    /// Encodes the content of the lock file.
    pub(crate) fn to_text(&self) -> String {
        // A clock before 1970 is not set. People see that from a time of 0.
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        format!("process {}\nhost {}\nsince {since}\n", self.process, self.host)
    }

    /// Parses the content of the lock file; `None` if it is incomplete or in another form.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            process: field("process")?.parse().ok()?,
            host: field("host")?.to_owned(),
            since: UNIX_EPOCH.checked_add(Duration::from_secs(field("since")?.parse().ok()?))?,
        })
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)?;
        if !self.host.is_empty() {
            write!(f, " on {}", self.host)?;
        }
        match self.since.elapsed() {
            Ok(elapsed) => write!(f, " for {} s", elapsed.as_secs()),
            // The time is in the future because the clock was set back, so the duration is unknown.
            Err(_) => Ok(()),
        }
    }
}

/// The name of this machine, for messages only; empty if the system does not tell it.
fn host() -> String {
    // Any failure means that this source does not tell the name, so the next one is tried.
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_environment =
        || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    of_kernel.or_else(of_environment).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let holder = LockHolder {
            process: 7,
            host: "a machine".to_owned(),
            since: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        assert_eq!(LockHolder::parse(holder.to_text().as_bytes()), Some(holder));
        for other in [&b""[..], b"7", b"process x\nhost y\nsince 1\n", b"process 1\nhost y\nsince"]
        {
            assert_eq!(LockHolder::parse(other), None);
        }
    }
}
