//! Looks keys up in a published directory: only the reader is needed.
//!
//! `cargo run -p sst-reader --example query -- target/unicode.db 1F600 1F601`

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::Path;

use sst_reader::{BlockCache, ReaderOptions, SstSet};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: query DIR KEY…")?;
    let options = ReaderOptions::default().cache(BlockCache::new(64 << 20));
    let set = SstSet::open(Path::new(&dir), &options)?;
    for key in arguments {
        match set.get(key.as_bytes())? {
            Some(value) => println!("{key}\t{}", String::from_utf8_lossy(&value)),
            None => println!("{key} is not there"),
        }
    }
    Ok(())
}
