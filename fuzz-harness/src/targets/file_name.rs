//! Names of files: what is accepted is spelled the one way in which it would be written.

use sst_format::file_name::FileName;

/// See the module.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(name) = FileName::parse(&text) {
        assert_eq!(name.to_string(), text);
    }
}
