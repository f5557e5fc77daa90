//! Tests of the crate through its public interface.

#[cfg(test)]
mod blobs;
#[cfg(test)]
mod block_order;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod defects;
#[cfg(test)]
mod descriptions;
#[cfg(test)]
mod early_sync;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod filter_of_len;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod meta_files;
#[cfg(test)]
mod original;
#[cfg(test)]
mod owned_loader;
#[cfg(test)]
mod ownership;
#[cfg(test)]
mod published;
#[cfg(test)]
mod publisher;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod replica;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod test_file_system;
