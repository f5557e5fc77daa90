//! Who holds the lock of a directory.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The process that has a directory open for publishing, as it wrote it into `LOCK`.
///
/// It is for people who want to know whom to look for. What counts is the lock itself, which the operating system takes
/// from a process that ends, however it ends: text that a dead process left there stops nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// Its process id.
    pub process: u32,
    /// The machine that it runs on; empty if that is not known.
    pub host: String,
    /// When it took the lock, in whole seconds.
    pub since: SystemTime,
}

impl LockHolder {
    /// This process, now.
    pub(crate) fn this_process() -> Self {
        Self { process: std::process::id(), host: host(), since: SystemTime::now() }
    }

    /// The content of `LOCK`.
    pub(crate) fn to_text(&self) -> String {
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        format!("process {}\nhost {}\nsince {since}\n", self.process, self.host)
    }

    /// Reads the content of `LOCK`; `None` if it is not of ours, or not complete.
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
            Err(_) => Ok(()),
        }
    }
}

/// Name of this machine; empty if it cannot be told.
fn host() -> String {
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
