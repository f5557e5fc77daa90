//! Objects as files of the reader: [`StoreFiles`].

mod prefetched;
mod store_files;
mod stored_object;
mod worker;

pub use store_files::StoreFiles;
