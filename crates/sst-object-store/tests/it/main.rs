//! Tests of the crate through its public interface.

#[cfg(test)]
mod clock_store;
#[cfg(test)]
mod commits;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty_store;
#[cfg(test)]
mod garbage;
#[cfg(test)]
mod histories;
#[cfg(feature = "http")]
#[cfg(test)]
mod http;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod lost_answers;
#[cfg(test)]
mod meta_repair;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod shards;
#[cfg(unix)]
#[cfg(test)]
mod special_files;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tasks;
