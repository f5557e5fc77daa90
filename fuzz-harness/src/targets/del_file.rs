//! `.del` files: accepted bytes are exactly what the encoder writes for them.

use sst_format::del_file::DelFile;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    match DelFile::parse(data) {
        Ok(read) => {
            assert_eq!(read.sequences().len() * 4, data.len());
            assert_eq!(DelFile::encode(read.sequences()), data);
        }
        Err(_) => assert_ne!(data.len() % 4, 0),
    }
}
