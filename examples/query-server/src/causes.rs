//! The text of an error for the log.

use std::error::Error;

/// The text of an error followed by its causes. The log in JSON would print the first text only.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
