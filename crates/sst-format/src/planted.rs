//! Bugs planted on purpose, to check that the tests catch them.
//!
//! They exist only in builds with `--cfg sst_planted`, which `cargo xtask planted` makes. Ordinary
//! builds have no trace of them.

/// A place where a bug can be planted: one line, in one of two forms.
///
/// - `let sum = planted!("sum-unchecked", sum, stated);` evaluates to `sum`, or to `stated` if the
///   bug is planted.
/// - `planted!("sync-skipped" => return Ok(()));` does nothing, or runs these statements if the bug
///   is planted.
///
/// The test program lists the names of the bugs in its suite of planted bugs.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($bug:literal, $right:expr, $wrong:expr $(,)?) => {{
        #[cfg(sst_planted)]
        {
            if $crate::is_planted($bug) { $wrong } else { $right }
        }
        #[cfg(not(sst_planted))]
        {
            $right
        }
    }};
    ($bug:literal => $($wrong:tt)*) => {
        #[cfg(sst_planted)]
        if $crate::is_planted($bug) {
            $($wrong)*
        }
    };
}

/// Whether the bug of this name is planted: the environment variable `SST_PLANTED` names it.
#[cfg(sst_planted)]
#[must_use]
pub fn is_planted(bug: &str) -> bool {
    use std::string::String;
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("SST_PLANTED").ok()).as_deref() == Some(bug)
}
