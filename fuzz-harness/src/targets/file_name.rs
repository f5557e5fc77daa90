//! File names: the parser accepts exactly the spelling that is written.

use sst_format::file_name::FileName;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(name) = FileName::parse(&text) {
        assert_eq!(name.to_string(), text);
    }
}
