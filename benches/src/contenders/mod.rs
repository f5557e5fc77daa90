//! The contenders that need no other database: our store, and a hash map as the reference for the
//! fastest lookups.

mod hash_map;
mod real_directory;
mod sst_directory;
mod sst_table;

use sst_writer::table::Compression;

pub use hash_map::InMemory;
pub use real_directory::{RealDirectory, real_data};
pub use sst_directory::SstDirectory;
pub use sst_table::{SstTable, fits_one_table, reader_options, writer_options};

use crate::store::Contender;

/// Returns our store with LZ4 and with raw values, and the hash map.
#[must_use]
pub fn ours() -> Vec<Box<dyn Contender>> {
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    for compression in [Compression::Lz4, Compression::None] {
        contenders.push(Box::new(SstTable::new(compression)));
        contenders.push(Box::new(SstDirectory::new(compression)));
    }
    contenders.push(Box::new(RealDirectory));
    contenders.push(Box::new(InMemory));
    contenders
}

/// Returns the name of our store with this compression.
fn name_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "sst raw",
        _ => "sst LZ4",
    }
}
