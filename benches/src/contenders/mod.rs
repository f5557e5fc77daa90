//! The stores that need no other database to be built: ours, and a hash map as the upper reference.

mod hash_map;
mod real_directory;
mod sst_directory;
mod sst_table;

use sst_writer::Compression;

pub use hash_map::InMemory;
pub use real_directory::{RealDirectory, real_data};
pub use sst_directory::SstDirectory;
pub use sst_table::{SstTable, fits_one_table, reader_options, writer_options};

use crate::store::Contender;

/// Ours with LZ4 and with values stored raw, and the hash map.
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

/// The names of our own contenders.
fn name_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "sst raw",
        _ => "sst LZ4",
    }
}
