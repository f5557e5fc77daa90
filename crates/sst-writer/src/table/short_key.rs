//! Keys in error messages.

use std::fmt::{self, Write};

/// Number of bytes of a key that a message shows.
const SHOWN_LEN: usize = 24;

/// A key in an error message: at most its first 24 bytes, quoted if they are printable ASCII, else
/// in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortKey(Box<str>);

impl ShortKey {
    /// Shortens a key.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        let key = key.as_ref();
        // A shorter key is shown whole.
        let shown = key.get(..SHOWN_LEN).unwrap_or(key);
        // Writing to a `String` never fails.
        let mut text = String::new();
        if shown.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            _ = write!(text, "\"{}\"", shown.escape_ascii());
        } else {
            text.push_str("0x");
            shown.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
        }
        if shown.len() < key.len() {
            _ = write!(text, "… ({} bytes)", key.len());
        }
        Self(text.into_boxed_str())
    }
}

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_bytes_are_hex() {
        assert_eq!(ShortKey::new(b"").to_string(), "\"\"");
        assert_eq!(ShortKey::new(b"a \"b\"").to_string(), "\"a \\\"b\\\"\"");
        assert_eq!(ShortKey::new(b"a\n").to_string(), "0x610a");
        let long = ShortKey::new([b'x'; 25]).to_string();
        assert_eq!(long, format!("\"{}\"… (25 bytes)", "x".repeat(24)));
    }
}
