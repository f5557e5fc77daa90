//! Bugs planted on purpose, to see that the tests catch them. They exist only in builds with
//! `--cfg sst_planted`, which `cargo xtask planted` makes; ordinary builds have no trace of them.

/// A place where a bug can be planted. One line, in one of two forms:
///
/// - `let sum = planted!("sum-unchecked", sum, stated);` is `sum`, and `stated` if the bug is
///   planted;
/// - `planted!("sync-skipped" => return Ok(()));` is nothing, and these statements if it is.
///
/// The name of the bug is listed in the suite of planted bugs of the test programme.
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

/// Whether the bug of this name is planted: the one that the environment variable `SST_PLANTED`
/// names.
#[cfg(sst_planted)]
#[must_use]
pub fn is_planted(bug: &str) -> bool {
    use std::string::String;
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("SST_PLANTED").ok()).as_deref() == Some(bug)
}
