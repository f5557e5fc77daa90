//! Bugs planted on purpose, to see that the tests catch them. Exists only in builds with `--cfg sst_planted`, as
//! `cargo xtask planted` makes them; ordinary builds have no trace of it.

use std::string::String;
use std::sync::OnceLock;

/// Whether the bug of this name is planted: the one that the environment variable `SST_PLANTED` names.
#[must_use]
pub fn planted(bug: &str) -> bool {
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("SST_PLANTED").ok()).as_deref() == Some(bug)
}
